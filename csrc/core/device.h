// Marks for functions that host and device share.
#pragma once

#ifdef __CUDACC__
#define FASTCF_HD __host__ __device__
#else
#define FASTCF_HD
#endif

// A formula that kernel files may include too: it leaves no symbol behind for the linker to choose among (core/isa.h).
#define FASTCF_FORMULA static inline __attribute__((always_inline, unused)) FASTCF_HD
