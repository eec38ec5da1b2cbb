/* The door of `troupe optimize`: argv[0] is the command's name, the result its exit status. */
#ifndef CLI_COMMAND_OPTIMIZE_H
#define CLI_COMMAND_OPTIMIZE_H

int command_optimize(int argc, char **argv);

#endif
