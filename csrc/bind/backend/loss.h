// The loss that a name from Python means.
#pragma once

#include <string>

#include "core/check.h"
#include "math/loss.h"

namespace fastcf::bind {

inline Loss loss_in(const std::string& name, const char* caller, const char* argument = "cost") {
    check(name == "squared" || name == "logistic", caller, ": ", argument, " must be 'squared' or 'logistic'; got '",
          name, "'");
    return name == "squared" ? Loss::squared : Loss::logistic;
}

}  // namespace fastcf::bind
