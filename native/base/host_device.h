// Marks a function that a device's kernels call as well.
#pragma once

#if defined(__CUDACC__)
#define COPPICE_ON_BOTH __host__ __device__
#else
#define COPPICE_ON_BOTH
#endif
