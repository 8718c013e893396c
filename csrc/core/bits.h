// std::bit_cast, for what CUDA kernels share with the host: those files are C++17 (CMakeLists.txt says why).
#pragma once

#include "core/device.h"

namespace fastcf {

template <class To, class From>
FASTCF_FORMULA constexpr To bit_cast(From from) {
    static_assert(sizeof(To) == sizeof(From));
    return __builtin_bit_cast(To, from);
}

}  // namespace fastcf
