#pragma once

/// Begins to count how often this thread asks for memory.
void allocations_begin(void);

/// How often it did since; nothing is counted from now on.
long allocations_end(void);
