#!/usr/bin/env python3
"""The page of a run as a browser takes it: well formed, complete in itself, readable in both colour schemes; and,
where Chromium is installed, alive: the script runs without an error, sorts, filters, pages, answers the pointer,
and no text of a user has become an element.

usage: page_html_test.py SAMPLE_PAGE [PAGE_CSS]
"""
import html.parser
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

PROGRAM = sys.argv[1]
CSS = sys.argv[2]
CASES = {
    'none': ['0'], 'one': ['1'], 'sixty': ['60'], 'many': ['10000'], 'names': ['60', '30'],
    'hostile': ['60', '4', 'hostile'], 'minimise': ['60', '12', 'minimise'], 'failed': ['5', '4', 'failed'],
}
VOID = {'meta', 'input', 'br', 'img', 'link', 'hr'}
ELEMENTS = set('''html head meta title style body a header div h1 h2 h3 span p code b main dl dt dd section input label
    svg path ul li i table thead tbody tfoot tr th td pre button figure figcaption q ol select option footer
    script'''.split())


def page(name):
    return subprocess.run([PROGRAM] + CASES[name], check=True, stdout=subprocess.PIPE).stdout.decode('utf-8')


class Outline(html.parser.HTMLParser):
    """Checks nesting; gathers elements, ids, attributes and the text of script elements."""

    def __init__(self):
        super().__init__(convert_charrefs=True)
        self.open, self.elements, self.ids, self.attributes, self.scripts = [], [], [], [], []
        self.labelled, self.text = [], []

    def handle_starttag(self, tag, attrs):
        self.elements.append(tag)
        names = [name for name, _ in attrs]
        assert len(names) == len(set(names)), 'attribute twice in <%s %s>' % (tag, attrs)
        attributes = dict(attrs)
        self.attributes += [(tag, name, value) for name, value in attrs]
        if 'id' in attributes:
            self.ids.append(attributes['id'])
        if tag == 'svg':
            assert attributes.get('aria-label') or attributes.get('aria-hidden') == 'true', 'a drawing without words'
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):  # <path .../>: of SVG only
        assert tag == 'path', tag
        self.handle_starttag(tag, attrs)
        self.open.pop()

    def handle_endtag(self, tag):
        assert self.open and self.open[-1] == tag, '</%s> at %s inside %s' % (tag, self.getpos(), self.open)
        self.open.pop()

    def handle_data(self, data):
        if self.open and self.open[-1] == 'script':
            self.scripts.append(data)
        elif not self.open or self.open[-1] != 'style':
            self.text.append(data)


def outline(name):
    parser = Outline()
    parser.feed(page(name))
    parser.close()
    return parser


class Markup(unittest.TestCase):
    def test_well_formed_and_complete(self):
        for name in CASES:
            with self.subTest(name):
                parser = outline(name)
                self.assertEqual(parser.open, [])
                self.assertLessEqual(set(parser.elements), ELEMENTS)
                self.assertEqual(len(parser.ids), len(set(parser.ids)), 'an id twice')
                for tag, attribute, value in parser.attributes:
                    self.assertFalse(attribute.startswith('on'), (tag, attribute))
                    if attribute in ('href', 'src', 'action', 'data', 'poster', 'srcset'):
                        self.assertTrue(value.startswith('#'), (tag, attribute, value))
                    if attribute == 'd':
                        self.assertRegex(value, r'^[MHVhvz0-9 .-]*$')
                    self.assertNotRegex(value or '', r'\b(nan|inf)%')

    def test_data(self):
        for name in CASES:
            with self.subTest(name):
                parser = outline(name)
                data = json.loads(parser.scripts[0])
                rows = len(data['number'])
                for column in ('state', 'objective', 'start', 'end'):
                    self.assertEqual(len(data[column]), rows)
                for values in data['values']:
                    self.assertEqual(len(values), rows)
                self.assertEqual(len(data['executions']) % 7, 0)

    def test_shares_add_to_100(self):
        text = ''.join(outline('sixty').text)
        start = text.index('spent on')
        part = text[start:text.index('all trials', start)]
        self.assertAlmostEqual(sum(map(float, re.findall(r'([0-9.]+)\u2009%', part))), 100.0, places=6)

    def test_hostile_text_is_shown_as_text(self):
        text = ''.join(outline('hostile').text)
        self.assertIn('</script><img src=x onerror=alert(1)>"\'&', text)


def luminance(colour):
    parts = [int(colour[i:i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one, other):
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


class Colours(unittest.TestCase):
    """WCAG 2.1: text 4.5:1, graphics 3:1, as the head of page.css promises."""

    def test_contrast(self):
        with open(CSS, encoding='utf-8') as file:
            blocks = re.findall(r':root \{(.*?)\}', file.read(), re.S)
        self.assertEqual(len(blocks), 2)
        for block, scheme in zip(blocks, ('light', 'dark')):
            colours = dict(re.findall(r'--([a-z0-9]+): (#[0-9a-f]{6})', block))
            for name in ('ink', 'soft', 'accent', 'good', 'bad', 'warn'):
                for ground in ('card', 'ground'):
                    self.assertGreaterEqual(contrast(colours[name], colours[ground]), 4.5, (scheme, name, ground))
            for name in ['gold'] + ['o%d' % i for i in range(8)] + ['s%d' % i for i in range(8)]:
                self.assertGreaterEqual(contrast(colours[name], colours['card']), 3.0, (scheme, name))


PROBE = '''
<script>
(function () {
  var out = {errors: window.errors, images: document.images.length, alerted: !!window.alerted};
  var table = document.getElementById('table');
  function texts(column) {
    return [].map.call(table.tBodies[0].rows, function (row) { return row.cells[column].textContent; });
  }
  try {
    if (table) {
      var heads = table.tHead.rows[0].cells;
      out.initial = texts(2).slice(0, 30);
      heads[0].firstChild.click();
      out.numbers = texts(0).slice(0, 30);
      heads[0].firstChild.click();
      out.reversed = texts(0).slice(0, 3);
      var filter = document.getElementById('filter');
      filter.value = 'failed';
      filter.onchange();
      out.failed = texts(1);
      filter.value = '';
      document.getElementById('find').value = '7';
      document.getElementById('find').oninput();
      out.found = texts(0).indexOf('7') >= 0;
      document.getElementById('find').value = '';
      document.getElementById('find').oninput();
      out.rows = table.tBodies[0].rows.length;
      var next = [].filter.call(document.querySelectorAll('#pages button'), function (b) {
        return b.textContent === 'Next';
      })[0];
      if (next) { next.click(); out.second = texts(0)[0]; }
    }
    out.tips = [].map.call(document.querySelectorAll('.plot > svg'), function (svg) {
      var box = svg.getBoundingClientRect(), found = '';
      for (var x = 0.02; x < 1 && !found; x += 0.02)
        for (var y = 0.02; y < 1 && !found; y += 0.04) {
          svg.dispatchEvent(new PointerEvent('pointermove', {clientX: box.left + x * box.width,
            clientY: box.top + y * box.height}));
          if (!document.getElementById('tip').hidden) found = document.getElementById('tip').textContent;
        }
      return found;
    });
    out.wide = document.documentElement.scrollWidth > innerWidth;
  } catch (error) { out.errors.push(String(error)); }
  var pre = document.createElement('pre');
  pre.id = 'probe';
  pre.textContent = 'PROBE' + JSON.stringify(out) + 'END';
  document.body.appendChild(pre);
})();
</script>
'''
WATCH = '<script>window.errors = []; window.onerror = function (m) { errors.push(String(m)); };' \
        'window.alert = function () { window.alerted = true; };</script>'
CHROMIUM = next(filter(None, map(shutil.which, ('chromium', 'chromium-browser', 'google-chrome'))), None)


@unittest.skipUnless(CHROMIUM, 'no Chromium here: apt-get install chromium to see the page run')
class Browser(unittest.TestCase):
    def probe(self, name, width=1280):
        with tempfile.TemporaryDirectory() as directory:
            path = os.path.join(directory, 'page.html')
            with open(path, 'w', encoding='utf-8') as file:
                text = page(name)
                text = text.replace('<style>', WATCH + '<style>', 1).replace('</body>', PROBE + '</body>', 1)
                file.write(text)
            done = subprocess.run([CHROMIUM, '--headless=new', '--no-sandbox', '--disable-gpu', '--dump-dom',
                                   '--user-data-dir=' + os.path.join(directory, 'profile'),
                                   '--window-size=%d,900' % width, 'file://' + path],
                                  stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=240)
            dom = done.stdout.decode('utf-8', 'replace')
        found = re.search(r'PROBE(\{.*\})END', dom, re.S)
        self.assertIsNotNone(found, 'no answer from the page: %s' % done.stderr.decode('utf-8', 'replace')[-2000:])
        text = found.group(1)
        for entity, char in (('&lt;', '<'), ('&gt;', '>'), ('&nbsp;', '\xa0'), ('&amp;', '&')):
            text = text.replace(entity, char)
        answer = json.loads(text)
        self.assertEqual(answer['errors'], [])
        self.assertFalse(answer['alerted'])
        self.assertEqual(answer['images'], 0)
        return answer

    def test_sixty(self):
        answer = self.probe('sixty')
        objectives = [float(text) for text in answer['initial'] if text]
        self.assertEqual(objectives, sorted(objectives, reverse=True))
        self.assertEqual(answer['numbers'], [str(i) for i in range(30)])
        self.assertEqual(answer['reversed'], ['59', '58', '57'])
        self.assertEqual(set(answer['failed']), {'failed'})
        self.assertTrue(answer['found'])
        self.assertEqual(answer['rows'], 60)
        self.assertEqual(len(answer['tips']), 9)  # by trial, by time (not shown), seven slices
        for at, tip in enumerate(answer['tips']):
            if at != 1:
                self.assertRegex(tip, r'^trial \d+')
        self.assertFalse(answer['wide'])

    def test_many(self):
        answer = self.probe('many')
        self.assertEqual(answer['rows'], 100)
        self.assertEqual(answer['second'], '9899')

    def test_hostile(self):
        self.assertTrue(self.probe('hostile')['found'])

    def test_narrow(self):
        self.assertFalse(self.probe('hostile', 390)['wide'], 'the page is wider than a phone')

    def test_empty(self):
        self.assertEqual(self.probe('none')['tips'], [])


if __name__ == '__main__':
    if not CHROMIUM:
        print('no Chromium here: the page was parsed, not run')
    unittest.main(argv=sys.argv[:1], verbosity=2)
