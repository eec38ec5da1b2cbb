# Turns a text file into C string literals, one a line, to be included as an initialiser.
s/\\/\\\\/g
s/"/\\"/g
s/^/"/
s/$/\\n"/
