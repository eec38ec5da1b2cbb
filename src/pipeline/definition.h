/* definition: private to pipeline/: the steps of reading one, each in a file of its own. */
#ifndef PIPELINE_DEFINITION_H
#define PIPELINE_DEFINITION_H

#include "pipeline/pipeline.h"

MUST_CHECK enum troupe_error definition_agents(struct pipeline *pipeline, const struct node *agents,
                                               struct fault *fault);
MUST_CHECK enum troupe_error definition_stages(struct pipeline *pipeline, const struct node *stages,
                                               struct fault *fault);
/* `feedback:`, after the agents. */
MUST_CHECK enum troupe_error definition_feedback(struct pipeline *pipeline, const struct node *feedback,
                                                 struct fault *fault);
/* Order, cycles, what belongs to a trial, that every capability has an agent and every resource fits. */
MUST_CHECK enum troupe_error definition_graph(struct pipeline *pipeline, struct fault *fault);

/* What a node is, for messages: "the string 'many'". */
#define FOUND(node) node_found((node), (char[96]){0})

/* Readers shared by the steps; a missing node leaves *ret as it is. */
MUST_CHECK enum troupe_error definition_resources(struct pipeline *pipeline, const struct node *map,
                                                  struct resources *ret, struct fault *fault);
MUST_CHECK enum troupe_error definition_words(struct pipeline *pipeline, const struct node *list,
                                              const char *what, const char *const **ret_words,
                                              unsigned *ret_count, struct fault *fault);
MUST_CHECK enum troupe_error definition_metric(const struct node *node, const char *metric,
                                               struct fault *fault);
MUST_CHECK enum troupe_error definition_name(const struct node *map, size_t index, const char *what,
                                             struct fault *fault);

#endif
