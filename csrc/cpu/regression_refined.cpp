// Least squares of many features. The normal equations are formed and factorised in float32, at half the cost; what
// the solution lacks in digits, corrections by the residuals of float64 supply: each multiplies the error by some 1e-7
// times the condition (Wilkinson 1963; Higham, "Accuracy and Stability of Numerical Algorithms", 2nd ed., chapter 12).
// Features stay the floats they came as; what float64 needs, it widens and centres on the way.
//
// Notation: X the features less their weighted means, where there is an intercept, W the weights, A = W^1/2 X.
#include <algorithm>
#include <cmath>
#include <numeric>

#include "cpu/regression_problem.h"

namespace fastcf {
namespace {

constexpr std::int64_t kBlockRows = 64;
constexpr double kRefinedError = 1e-10;  // of the weights' norm, far below the rounding of the result
constexpr int kMostCorrections = 3;

// What each piece of scratch memory holds.
enum Rooms : std::size_t { kMean, kTarget, kTheta, kGradient, kRoots, kShares, kScaled };
enum FloatRooms : std::size_t { kGram, kInverses, kBlock, kAcross, kChange, kStep, kFloatMean, kFloatScale };

class Refinement {
  public:
    Refinement(RegressionProblem& problem, const RegressionOptions& options)
        : q_(problem),
          o_(options),
          k_(problem.kernels),
          f_(problem.factors),
          n_(problem.n),
          ld_(problem.float_stride) {}

    bool run(RegressionOutcome& outcome) {
        const double* w = q_.w.data();
        const double total = std::accumulate(w, w + n_, 0.0);
        const double y_mean = o_.intercept ? k_.dot(w, q_.y.data(), n_) / total : 0.0;
        target_ = room(kTarget, n_);
        for (std::int64_t r = 0; r < n_; ++r) target_[r] = q_.y[static_cast<std::size_t>(r)] - y_mean;
        mean_ = zeros(kMean, ld_);
        for (std::int64_t j = 0; o_.intercept && j < ld_; ++j) mean_[j] = q_.sums[static_cast<std::size_t>(j)] / total;
        float_mean_ = float_room(kFloatMean, ld_);
        std::transform(mean_, mean_ + ld_, float_mean_, [](double x) { return static_cast<float>(x); });
        theta_ = zeros(kTheta, ld_);
        if (!(n_ < q_.p ? by_ratings() : by_features())) return false;
        std::copy_n(theta_ + q_.lead, q_.p, q_.theta.data());
        outcome.intercept = y_mean - k_.dot(mean_, theta_, ld_);
        return true;
    }

  private:
    double* room(Rooms number, std::int64_t size) { return q_.scratch(number, size); }
    float* float_room(FloatRooms number, std::int64_t size) { return q_.float_scratch(number, size); }
    double* zeros(Rooms number, std::int64_t size) {
        double* x = room(number, size);
        std::fill_n(x, size, 0.0);
        return x;
    }
    double norm(const double* x, std::int64_t size) const { return std::sqrt(k_.dot(x, x, size)); }

    bool factorise(std::int64_t size, std::int64_t lead) {
        pad_and_penalise(gram_, size, lead, o_.reg);
        inverses_ = float_room(kInverses, 2 * kRegressionFloatPad * size);
        return f_.cholesky_float(gram_, size, size, lead, kFloatPivotTolerance, inverses_);
    }

    // x = what the factors make of it: unit_ times change_, floats
    void solve(double* x, std::int64_t size) {
        const double length = norm(x, size);
        unit_ = length > 0 ? length : 1.0;  // so that nothing falls below the least float
        change_ = float_room(kChange, size);
        for (std::int64_t j = 0; j < size; ++j) change_[j] = static_cast<float>(x[j] / unit_);
        f_.solve_float(gram_, size, size, inverses_, change_);
        for (std::int64_t j = 0; j < size; ++j) x[j] = unit_ * static_cast<double>(change_[j]);
    }

    // Corrects a solution until the next correction would not matter. `residual` fills in the residual of the normal
    // equations, `add` adds the step to what the solution stands for.
    template <class Residual, class Add>
    bool correct(double* solution, double* step, std::int64_t size, Residual&& residual, Add&& add) {
        double last = norm(solution, size);
        for (int correction = 0; correction < kMostCorrections; ++correction) {
            residual(step);
            solve(step, size);
            for (std::int64_t j = 0; j < size; ++j) solution[j] += step[j];
            add();
            const double length = norm(step, size);
            if (!(length <= 0.01 * last)) return false;
            if (length * length <= last * kRefinedError * norm(solution, size)) return true;
            last = length;
        }
        return false;
    }

    // (A'A + reg I) theta = A't
    bool by_features() {
        gram_ = float_room(kGram, ld_ * ld_);
        float* block = float_room(kBlock, kBlockRows * ld_);
        float* scale = float_room(kFloatScale, 2 * kBlockRows);
        float* right = scale + kBlockRows;
        float* product = float_room(kStep, ld_);  // A't
        std::fill_n(product, ld_, 0.0f);
        for (std::int64_t first = 0; first < n_; first += kBlockRows) {
            const std::int64_t rows = std::min(kBlockRows, n_ - first);
            for (std::int64_t r = 0; r < rows; ++r) {
                scale[r] = std::sqrt(static_cast<float>(q_.w[static_cast<std::size_t>(first + r)]));
                right[r] = scale[r] * static_cast<float>(target_[first + r]);
            }
            k_.center_scale(q_.rows + first * ld_, ld_, rows, float_mean_, scale, block);
            k_.add_transposed_floats(block, ld_, rows, right, product);
            f_.gram_float(block, ld_, rows, ld_, q_.lead, first > 0, gram_, ld_);
        }
        if (!factorise(ld_, q_.lead)) return false;
        std::copy_n(product, ld_, theta_);
        solve(theta_, ld_);
        return correct(
            theta_, room(kGradient, ld_), ld_,
            [&](double* gradient) {
                k_.weighted_residuals(q_.rows, ld_, n_, mean_, q_.w.data(), target_, theta_, gradient);
                for (std::int64_t j = 0; j < ld_; ++j) gradient[j] -= o_.reg * theta_[j];
            },
            [] {});
    }

    // theta = A' a, (A A' + reg I) a = t
    bool by_ratings() {
        const std::int64_t size = RegressionProblem::padded_floats(n_), lead = size - n_;
        const std::int64_t begin = q_.lead / 4 * 4;
        double* roots = room(kRoots, n_);
        float* scale = float_room(kFloatScale, n_);
        for (std::int64_t r = 0; r < n_; ++r) {
            roots[r] = std::sqrt(q_.w[static_cast<std::size_t>(r)]);
            scale[r] = static_cast<float>(roots[r]);
        }
        float* block = float_room(kBlock, (n_ + 1) * ld_);
        float* across = float_room(kAcross, (ld_ - begin) * size);
        k_.center_scale(q_.rows, ld_, n_, float_mean_, scale, block);
        std::fill_n(block + n_ * ld_, ld_, 0.0f);
        k_.transpose(block, ld_, n_, begin, block + n_ * ld_, across, size);
        gram_ = float_room(kGram, size * size);
        f_.gram_float(across, size, ld_ - begin, size, lead, false, gram_, size);
        if (!factorise(size, lead)) return false;

        double* shares = zeros(kShares, size);
        double* scaled = room(kScaled, n_);
        for (std::int64_t r = 0; r < n_; ++r) shares[lead + r] = roots[r] * target_[r];
        solve(shares, size);
        for (std::int64_t r = 0; r < n_; ++r) scaled[r] = roots[r] * shares[lead + r];
        k_.add_centred_transposed(q_.rows, ld_, n_, mean_, scaled, theta_);
        float* step = float_room(kStep, ld_);
        return correct(
            shares, zeros(kGradient, size), size,
            [&](double* residual) {
                k_.centred_times(q_.rows, ld_, n_, mean_, theta_, residual + lead);
                for (std::int64_t r = 0; r < n_; ++r)
                    residual[lead + r] = roots[r] * (target_[r] - residual[lead + r]) - o_.reg * shares[lead + r];
            },
            [&] {  // theta += A' step, which is small: floats are exact enough
                std::fill_n(step, ld_, 0.0f);
                k_.add_transposed_floats(block, ld_, n_, change_ + lead, step);
                for (std::int64_t j = 0; j < ld_; ++j) theta_[j] += unit_ * static_cast<double>(step[j]);
            });
    }

    RegressionProblem& q_;
    const RegressionOptions& o_;
    const RegressionKernels& k_;
    const FactorKernels& f_;
    std::int64_t n_, ld_;
    double *target_ = nullptr, *mean_ = nullptr, *theta_ = nullptr;
    float *float_mean_ = nullptr, *gram_ = nullptr, *inverses_ = nullptr, *change_ = nullptr;
    double unit_ = 1;
};

}  // namespace

bool refines(const RegressionProblem& problem, const RegressionOptions& options) {
    return options.cost == RegressionCost::squared && options.solver == RegressionSolver::exact && problem.n > 0 &&
           problem.p >= kFewestForFloats && (problem.n >= problem.p || options.reg > 0);
}

bool regress_refined(RegressionProblem& problem, const RegressionOptions& options, RegressionOutcome& outcome) {
    return Refinement(problem, options).run(outcome);
}

}  // namespace fastcf
