// What the names of losses, activations, optimisers and so on mean.
#pragma once

#include <iterator>
#include <stdexcept>
#include <string>

#include "core/check.h"
#include "math/activation.h"
#include "math/half.h"
#include "math/loss.h"
#include "math/optimizer.h"
#include "math/sampled.h"

namespace fastcf::bind {

// The names of an enumeration's values, in order; `kind`, where there are many, is what they are names of.
template <class Enum>
struct Names;
template <>
struct Names<Loss> {
    static constexpr const char* all[] = {"squared", "logistic"};
};
template <>
struct Names<NetworkLoss> {
    static constexpr const char* all[] = {"squared", "logistic", "multinomial"};
};
template <>
struct Names<SampledCost> {
    static constexpr const char* all[] = {"bpr", "logistic", "softmax"};
};
template <>
struct Names<Storage> {
    static constexpr const char* all[] = {"float32", "float16"};
};
template <>
struct Names<Activation> {
    static constexpr const char* kind = "activation";
    static constexpr const char* all[] = {"identity", "sigmoid", "tanh", "relu", "leaky_relu", "elu", "selu"};
};
template <>
struct Names<OptimizerKind> {
    static constexpr const char* kind = "optimizer";
    static constexpr const char* all[] = {"gd", "momentum", "nesterov", "adagrad", "adadelta", "adam"};
};

template <class Enum>
const char* name_of(Enum value) {
    return Names<Enum>::all[static_cast<int>(value)];
}

// Throws std::invalid_argument, naming caller and argument, for another name.
template <class Enum>
Enum named(const std::string& name, const char* caller, const char* argument) {
    for (int value = 0; value < static_cast<int>(std::size(Names<Enum>::all)); ++value)
        if (name == Names<Enum>::all[value]) return static_cast<Enum>(value);
    if constexpr (requires { Names<Enum>::kind; }) {
        throw std::invalid_argument(concat(caller, ": there is no ", Names<Enum>::kind, " '", name, "'"));
    } else {
        std::string text;
        for (const char* each : Names<Enum>::all) text += concat(text.empty() ? "'" : " or '", each, "'");
        throw std::invalid_argument(concat(caller, ": ", argument, " must be ", text, "; got '", name, "'"));
    }
}

}  // namespace fastcf::bind
