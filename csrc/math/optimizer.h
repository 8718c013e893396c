// Steps of the optimisers, one parameter at a time. `first` and `second` are what an optimiser remembers of a
// parameter; both begin as 0.
#pragma once

#include "core/device.h"

namespace fastcf {

enum class OptimizerKind { gradient_descent, momentum, nesterov, adagrad, adadelta, adam };

// What the formulas need of one step, worked out once per step (or row): keep = the decay, take = 1 - the decay.
template <class T>
struct OptimizerStep {
    T rate;  // Adam: over 1 - beta1^t
    T keep, take;
    T second_keep, second_take;
    T second_scale;  // Adam: 1 / (1 - beta2^t)
    T epsilon;
};

// p <- p - a g. Cauchy 1847.
template <class T>
FASTCF_FORMULA void gradient_descent_step(const OptimizerStep<T>& s, T g, T* p) {
    *p -= s.rate * g;
}

// v <- b v - a g, p <- p + v. Polyak, "Some methods of speeding up the convergence of iteration methods", 1964.
template <class T>
FASTCF_FORMULA void momentum_step(const OptimizerStep<T>& s, T g, T* p, T* first) {
    *first = s.keep * *first - s.rate * g;
    *p += *first;
}

// Nesterov 1983, in the form of Sutskever et al., "On the importance of initialization and momentum in deep learning",
// 2013: v <- b v - a g(p + b v), p <- p + v. What is kept is the point looked ahead to, p + b v, where g is taken; it
// moves by b v - a g with the new v.
template <class T>
FASTCF_FORMULA void nesterov_step(const OptimizerStep<T>& s, T g, T* p, T* first) {
    *first = s.keep * *first - s.rate * g;
    *p += s.keep * *first - s.rate * g;
}

FASTCF_FORMULA float square_root(float x) {
    return __builtin_sqrtf(x);
}
FASTCF_FORMULA double square_root(double x) {
    return __builtin_sqrt(x);
}

// s <- s + g^2, p <- p - a g / (sqrt(s) + e). Duchi, Hazan and Singer, "Adaptive subgradient methods for online
// learning and stochastic optimization", JMLR 12, 2011.
template <class T>
FASTCF_FORMULA void adagrad_step(const OptimizerStep<T>& s, T g, T* p, T* first) {
    *first += g * g;
    *p -= s.rate * g / (square_root(*first) + s.epsilon);
}

// s <- r s + (1 - r) g^2, d = g sqrt(t + e) / sqrt(s + e), t <- r t + (1 - r) d^2, p <- p - a d. Zeiler, "ADADELTA: an
// adaptive learning rate method", 2012, where a = 1.
template <class T>
FASTCF_FORMULA void adadelta_step(const OptimizerStep<T>& s, T g, T* p, T* first, T* second) {
    *first = s.keep * *first + s.take * g * g;
    const T d = g * (square_root(*second + s.epsilon) / square_root(*first + s.epsilon));
    *second = s.keep * *second + s.take * d * d;
    *p -= s.rate * d;
}

// m <- b1 m + (1 - b1) g, v <- b2 v + (1 - b2) g^2, p <- p - a m' / (sqrt(v') + e) with m' = m / (1 - b1^t) and
// v' = v / (1 - b2^t). Kingma and Ba, "Adam: a method for stochastic optimization", ICLR 2015, algorithm 1.
template <class T>
FASTCF_FORMULA void adam_step(const OptimizerStep<T>& s, T g, T* p, T* first, T* second) {
    *first = s.keep * *first + s.take * g;
    *second = s.second_keep * *second + s.second_take * g * g;
    *p -= s.rate * *first / (square_root(*second * s.second_scale) + s.epsilon);
}

}  // namespace fastcf
