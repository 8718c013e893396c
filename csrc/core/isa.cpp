#include "core/isa.h"

#include <cstdlib>
#include <string>

#include "core/check.h"
#if FASTCF_X86
#include <cpuid.h>
#endif

namespace fastcf {
namespace {

#if FASTCF_X86
// The processor's conversion of half precision; Clang 14 cannot be asked for it by name.
bool has_f16c() {
    unsigned a = 0, b = 0, c = 0, d = 0;
    return __get_cpuid(1, &a, &b, &c, &d) != 0 && (c & bit_F16C) != 0;
}
#endif

Isa detect() {
#if FASTCF_X86
    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
        __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("bmi"))
        return Isa::avx512;
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && has_f16c() && __builtin_cpu_supports("bmi"))
        return Isa::avx2;
#endif
    return Isa::baseline;
}

Isa choose() {
    const char* forced = std::getenv("FASTCF_ISA");
    if (forced == nullptr || *forced == '\0') return best_isa();
    for (const Isa isa : {Isa::baseline, Isa::avx2, Isa::avx512}) {
        if (std::string(forced) != isa_name(isa)) continue;
        check(isa <= best_isa(), "FASTCF_ISA: this processor goes up to '", isa_name(best_isa()), "'; got '", forced,
              "'");
        return isa;
    }
    throw std::invalid_argument(concat("FASTCF_ISA: must be 'baseline', 'avx2' or 'avx512'; got '", forced, "'"));
}

}  // namespace

Isa best_isa() {
    static const Isa isa = detect();
    return isa;
}

Isa active_isa() {
    static const Isa isa = choose();
    return isa;
}

const char* isa_name(Isa isa) {
    switch (isa) {
        case Isa::avx512:
            return "avx512";
        case Isa::avx2:
            return "avx2";
        default:
            return "baseline";
    }
}

}  // namespace fastcf
