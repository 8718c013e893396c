// Plain loops that the compiler turns into vector code; bound by memory for large arrays: 3 (gradient descent) to 7
// (AdaDelta, Adam) elements moved per parameter.
#include "cpu/optimizer_kernels.h"

#include "cpu/vec.h"
#include "math/optimizer.h"

namespace fastcf::FASTCF_ISA_NAMESPACE {
namespace {

template <class T>
void step_run(OptimizerKind kind, const OptimizerStep<T>& step, int64_t n, T* __restrict p, const T* __restrict g,
              T* __restrict first, T* __restrict second) {
    [[maybe_unused]] const FlushDenormals flush;
    const OptimizerStep<T> s = step;
    switch (kind) {
        case OptimizerKind::gradient_descent:
            for (int64_t i = 0; i < n; ++i) gradient_descent_step(s, penalised(g[i], s.weight_decay, p[i]), p + i);
            break;
        case OptimizerKind::momentum:
            for (int64_t i = 0; i < n; ++i) momentum_step(s, penalised(g[i], s.weight_decay, p[i]), p + i, first + i);
            break;
        case OptimizerKind::nesterov:
            for (int64_t i = 0; i < n; ++i) nesterov_step(s, penalised(g[i], s.weight_decay, p[i]), p + i, first + i);
            break;
        case OptimizerKind::adagrad:
            for (int64_t i = 0; i < n; ++i) adagrad_step(s, penalised(g[i], s.weight_decay, p[i]), p + i, first + i);
            break;
        case OptimizerKind::adadelta:
            for (int64_t i = 0; i < n; ++i)
                adadelta_step(s, penalised(g[i], s.weight_decay, p[i]), p + i, first + i, second + i);
            break;
        case OptimizerKind::adam:
            for (int64_t i = 0; i < n; ++i)
                adam_step(s, penalised(g[i], s.weight_decay, p[i]), p + i, first + i, second + i);
            break;
    }
}

template <class T>
void coast_run(const Coast<T>& how, int64_t n, T* __restrict p, T* __restrict first) {
    [[maybe_unused]] const FlushDenormals flush;
    const Coast<T> c = how;
    if (first == nullptr)
        for (int64_t i = 0; i < n; ++i) p[i] *= c.pp;
    else
        for (int64_t i = 0; i < n; ++i) coast(c, p + i, first + i);
}

}  // namespace

extern const OptimizerKernels optimizer_kernels;
const OptimizerKernels optimizer_kernels = {{step_run<float>, coast_run<float>}, {step_run<double>, coast_run<double>}};

}  // namespace fastcf::FASTCF_ISA_NAMESPACE
