// The activation that a name from Python means.
#pragma once

#include <string>

#include "core/check.h"
#include "math/activation.h"

namespace fastcf::bind {

inline Activation activation_in(const std::string& name, const char* caller) {
    static constexpr const char* names[] = {"identity", "sigmoid", "tanh", "relu", "leaky_relu", "elu", "selu"};
    for (int kind = 0; kind < 7; ++kind)
        if (name == names[kind]) return static_cast<Activation>(kind);
    throw std::invalid_argument(concat(caller, ": there is no activation '", name, "'"));
}

}  // namespace fastcf::bind
