// One row's regression: its data in float64, and the room to solve it. One per thread, reused from row to row.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "core/aligned.h"
#include "cpu/regression_kernels.h"
#include "ops/regression.h"

namespace fastcf {

// Where matrices of float32 begin to pay, and what share of its diagonal a pivot must keep there. 6,000 rows, 1 M
// ratings, one thread, AVX-512, seconds without over seconds with them, squared and logistic cost: 24 features 0.80 and
// 0.96; 32: 1.06 and 1.06; 40: 1.05 and 1.09; 48: 1.22 and 1.15. AVX2, 32 features: 1.14 and 1.12.
inline constexpr std::int64_t kFewestForFloats = 32;  // features; at least kRegressionFloatPad
inline constexpr float kFloatPivotTolerance = 1e-4f;

// A buffer that keeps its memory when it shrinks.
template <class T>
class Room {
  public:
    T* take(std::int64_t size) {
        if (size > buffer_.size()) buffer_ = AlignedBuffer<T>(std::max(size, 2 * buffer_.size()));
        return buffer_.data();
    }

  private:
    AlignedBuffer<T> buffer_;
};

struct RegressionProblem {
    const RegressionKernels& kernels = FASTCF_SELECT_ISA(regression_kernels);
    const FactorKernels& factors = FASTCF_SELECT_ISA(factor_kernels);
    std::int64_t n = 0, p = 0, stride = 0;    // stride: p rounded up; columns p to stride are zero
    double* x = nullptr;                      // (n, stride)
    float* rows = nullptr;                    // instead of x for the form in float32: (n, float_stride)
    std::int64_t float_stride = 0, lead = 0;  // p rounded up; columns before `lead` are zero
    std::vector<double> sums;                 // of W times the rows of floats
    std::vector<double> y, w;
    std::vector<double> theta;  // the answer, p and padding

    std::vector<std::int32_t> items, columns, place;  // of the gathering

    double* row(std::int64_t r) { return x + r * stride; }

    static std::int64_t padded(std::int64_t size) {
        return (size + kRegressionPad - 1) / kRegressionPad * kRegressionPad;
    }

    static std::int64_t padded_floats(std::int64_t size) {
        return (size + kRegressionFloatPad - 1) / kRegressionFloatPad * kRegressionFloatPad;
    }

    // Zero weights; the features are for the caller to fill, padding included: in x, or as floats in `rows`.
    void resize(bool floats) {
        stride = padded(p);
        float_stride = padded_floats(p);
        lead = float_stride - p;
        if (floats) {
            rows = float_features_.take(n * float_stride);
            sums.assign(static_cast<std::size_t>(float_stride), 0.0);
        } else {
            x = features_.take(n * stride);
        }
        theta.assign(static_cast<std::size_t>(stride), 0.0);
    }

    // Scratch memory by number; what a number gave before is lost.
    double* scratch(std::size_t number, std::int64_t size) { return rooms_[number].take(size); }
    float* float_scratch(std::size_t number, std::int64_t size) { return float_rooms_[number].take(size); }

  private:
    Room<double> features_;
    Room<float> float_features_;
    Room<double> rooms_[12];
    Room<float> float_rooms_[8];
};

// Completes a Gram matrix whose first `lead` rows and columns are padding: the identity there, the penalty elsewhere.
inline void pad_and_penalise(float* gram, std::int64_t size, std::int64_t lead, double reg) {
    for (std::int64_t j = 0; j < lead; ++j) {
        std::fill_n(gram + j * size, size, 0.0f);
        gram[j * size + j] = 1;
    }
    for (std::int64_t j = lead; j < size; ++j) gram[j * size + j] += static_cast<float>(reg);
}

struct RegressionOutcome {
    double intercept = 0;
    int iterations = 0;
    bool converged = true;
};

// Solves the problem as ops/regression.h says, leaving the weights in `theta`; the features are overwritten.
RegressionOutcome regress(RegressionProblem& problem, const RegressionOptions& options);

// The same from `rows`, where `refines` says so; false where the condition is too bad for that.
bool refines(const RegressionProblem& problem, const RegressionOptions& options);
bool regress_refined(RegressionProblem& problem, const RegressionOptions& options, RegressionOutcome& outcome);

// theta = (A'A + reg I)^+ A't for the (n, p) matrix A in problem.x, by one-sided Jacobi rotations: directions whose
// singular value is below max(n, p) eps times the largest count as absent.
void least_norm(RegressionProblem& problem, const double* target, double reg);

}  // namespace fastcf
