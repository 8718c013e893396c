// The optimiser that a name and constants from Python mean.
#pragma once

#include <string>

#include "core/check.h"
#include "ops/optimizer.h"

namespace fastcf::bind {

inline Optimizer optimizer_in(const std::string& name, double decay, double second_decay, double epsilon,
                              double weight_decay, const char* caller) {
    static constexpr const char* names[] = {"gd", "momentum", "nesterov", "adagrad", "adadelta", "adam"};
    for (int kind = 0; kind < 6; ++kind) {
        if (name != names[kind]) continue;
        check(decay >= 0 && decay < 1 && second_decay >= 0 && second_decay < 1, caller,
              ": decays must lie in [0, 1); got ", decay, " and ", second_decay);
        check(weight_decay >= 0 && weight_decay <= 1e30, caller, ": weight_decay must not be negative; got ",
              weight_decay);
        Optimizer optimizer;
        optimizer.kind = static_cast<OptimizerKind>(kind);
        optimizer.decay = decay;
        optimizer.second_decay = second_decay;
        optimizer.epsilon = epsilon;
        optimizer.weight_decay = weight_decay;
        return optimizer;
    }
    throw std::invalid_argument(concat(caller, ": there is no optimizer '", name, "'"));
}

}  // namespace fastcf::bind
