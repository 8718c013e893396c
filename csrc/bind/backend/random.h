// What functions that make random arrays ask of their arguments.
#pragma once

#include <cmath>
#include <cstdint>
#include <string>

#include "core/check.h"
#include "ops/random.h"

namespace fastcf::bind {

inline Distribution check_random(std::int64_t rows, std::int64_t cols, const std::string& distribution, double scale) {
    const char* caller = "random";
    check(rows >= 0 && cols >= 0, caller, ": rows and cols must not be negative; got ", rows, " and ", cols);
    check(distribution == "normal" || distribution == "uniform", caller,
          ": distribution must be 'normal' or 'uniform'; got '", distribution, "'");
    check(std::isfinite(scale), caller, ": scale must be finite; got ", scale);
    return distribution == "normal" ? Distribution::normal : Distribution::uniform;
}

}  // namespace fastcf::bind
