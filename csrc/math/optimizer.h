// Steps of the optimisers, one parameter at a time. `first` and `second` are what an optimiser remembers of a
// parameter; both begin as 0.
#pragma once

#include <stdint.h>

#include "core/device.h"
#include "math/penalty.h"

namespace fastcf {

enum class OptimizerKind { gradient_descent, momentum, nesterov, adagrad, adadelta, adam };

// Momentum moves rows without a gradient too, and so does weight decay under gradient descent; exactly so, whenever
// they are next looked at (Coast).
FASTCF_FORMULA bool moves_untouched(OptimizerKind kind, double weight_decay) {
    return kind == OptimizerKind::momentum || kind == OptimizerKind::nesterov ||
           (kind == OptimizerKind::gradient_descent && weight_decay > 0);
}

// What the formulas need of one step, worked out once per step (or row): keep = the decay, take = 1 - the decay.
template <class T>
struct OptimizerStep {
    T rate;  // Adam: over 1 - beta1^t
    T keep, take;
    T second_keep, second_take;
    T second_scale;  // Adam: 1 / (1 - beta2^t)
    T epsilon;
    T weight_decay;
};

// The step of a parameter, given decay^t and second_decay^t where Adam takes its t-th step (else 0).
template <class T>
FASTCF_FORMULA OptimizerStep<T> optimizer_step_of(OptimizerKind kind, double learning_rate, double decay,
                                                  double second_decay, double epsilon, double weight_decay,
                                                  double power, double second_power) {
    const bool adam = kind == OptimizerKind::adam;
    OptimizerStep<T> s;
    s.rate = static_cast<T>(adam ? learning_rate / (1 - power) : learning_rate);
    s.keep = static_cast<T>(decay);
    s.take = static_cast<T>(1 - decay);
    s.second_keep = static_cast<T>(second_decay);
    s.second_take = static_cast<T>(1 - second_decay);
    s.second_scale = static_cast<T>(adam ? 1 / (1 - second_power) : 1);
    s.epsilon = static_cast<T>(epsilon);
    s.weight_decay = static_cast<T>(weight_decay);
    return s;
}

// What steps without a gradient make of a parameter and its velocity: (p, v) <- (pp p + pv v, vp p + vv v).
template <class T>
struct Coast {
    T pp, pv, vp, vv;
};

// One such step. Momentum: v <- b v - a l p, p <- p + v, with the weight decay l; Nesterov: p <- p + b v - a l p.
FASTCF_FORMULA Coast<double> coast_once(OptimizerKind kind, double learning_rate, double decay, double weight_decay) {
    const double shrink = learning_rate * weight_decay;
    if (kind == OptimizerKind::gradient_descent) return {1 - shrink, 0, 0, 1};
    if (kind == OptimizerKind::momentum) return {1 - shrink, decay, -shrink, decay};
    return {1 - shrink * (1 + decay), decay * decay, -shrink, decay};
}

// First `first`, then `then`.
FASTCF_FORMULA Coast<double> coast_both(const Coast<double>& first, const Coast<double>& then) {
    return {then.pp * first.pp + then.pv * first.vp, then.pp * first.pv + then.pv * first.vv,
            then.vp * first.pp + then.vv * first.vp, then.vp * first.pv + then.vv * first.vv};
}

// n of them, by repeated squaring.
FASTCF_FORMULA Coast<double> coast_often(Coast<double> once, int64_t n) {
    Coast<double> all{1, 0, 0, 1};
    for (; n > 0; n >>= 1) {
        if (n & 1) all = coast_both(all, once);
        once = coast_both(once, once);
    }
    return all;
}

// n of them without weight decay, given b^n: v adds up to b + b^2 + ... + b^n, times b with Nesterov's. Whatever the
// learning rates were, for v holds them.
FASTCF_FORMULA Coast<double> coast_freely(OptimizerKind kind, double decay, double power) {
    const double distance = decay * (1 - power) / (1 - decay) * (kind == OptimizerKind::nesterov ? decay : 1.0);
    return {1, distance, 0, power};
}

template <class T>
FASTCF_FORMULA Coast<T> coast_of(const Coast<double>& c) {
    return {static_cast<T>(c.pp), static_cast<T>(c.pv), static_cast<T>(c.vp), static_cast<T>(c.vv)};
}

template <class T>
FASTCF_FORMULA void coast(const Coast<T>& c, T* p, T* v) {
    const T place = *p, velocity = *v;
    *p = c.pp * place + c.pv * velocity;
    *v = c.vp * place + c.vv * velocity;
}

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
