// Which instruction set runs. Kernels live in csrc/cpu/*_kernels.cpp, compiled once per level into the namespaces
// below; each op keeps one table of function pointers per level and picks its table with select_isa().
//
// A kernel file must include nothing that defines inline functions outside FASTCF_ISA_NAMESPACE: the linker keeps one
// copy of an inline function, and it must not be the one compiled for a processor the user does not have.
#pragma once

#define FASTCF_CONCAT_(a, b) a##b
#define FASTCF_CONCAT(a, b) FASTCF_CONCAT_(a, b)
#ifdef FASTCF_ISA
#define FASTCF_ISA_NAMESPACE FASTCF_CONCAT(isa_, FASTCF_ISA)
#endif

#if defined(__x86_64__)
#define FASTCF_X86 1
#else
#define FASTCF_X86 0
#endif

namespace fastcf {

enum class Isa { baseline = 0, avx2 = 1, avx512 = 2 };

// The level in use: the best the processor has, or the lower one that the environment variable FASTCF_ISA names
// ("baseline", "avx2", "avx512"). Read once. Throws std::invalid_argument for an unknown or unavailable level.
Isa active_isa();
Isa best_isa();
const char* isa_name(Isa isa);

// Declares `extern const Table name` for every level that was compiled.
#if FASTCF_X86
#define FASTCF_KERNEL_TABLES(Table, name) \
    namespace isa_baseline {              \
    extern const Table name;              \
    }                                     \
    namespace isa_avx2 {                  \
    extern const Table name;              \
    }                                     \
    namespace isa_avx512 {                \
    extern const Table name;              \
    }
#define FASTCF_SELECT_ISA(name)                                         \
    (::fastcf::active_isa() == ::fastcf::Isa::avx512 ? isa_avx512::name \
     : ::fastcf::active_isa() == ::fastcf::Isa::avx2 ? isa_avx2::name   \
                                                     : isa_baseline::name)
#else
#define FASTCF_KERNEL_TABLES(Table, name) \
    namespace isa_baseline {              \
    extern const Table name;              \
    }
#define FASTCF_SELECT_ISA(name) (isa_baseline::name)
#endif

}  // namespace fastcf
