// One row's regression. Notation: X the (n, p) features, centred where there is an intercept, W the weights, A = W^1/2
// X.
#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <vector>

#include "cpu/regression_problem.h"
#include "math/loss.h"

namespace fastcf {
namespace {

constexpr double kPivotTolerance = 1e-10;  // below this share of its diagonal a pivot is mostly rounding
constexpr std::int64_t kBlockRows = 64;
constexpr double kEpsilon = std::numeric_limits<double>::epsilon();

// What each piece of scratch memory holds.
enum Rooms : std::size_t {
    kGram,
    kInverses,
    kMean,
    kTarget,
    kRoots,
    kVector,
    kStep,
    kMargin,
    kMarginStep,
    kCurvature,
    kBlock,
    kKernel
};
enum FloatRooms : std::size_t { kFloatGram, kFloatInverses, kFloatBlock, kFloatVector };

// The largest eigenvalue of a symmetric positive matrix (upper triangle) is at most its trace and its largest row sum.
double curvature_bound(const double* gram, std::int64_t p, std::int64_t stride) {
    double trace = 0, largest = 0;
    for (std::int64_t i = 0; i < p; ++i) {
        double row = 0;
        for (std::int64_t j = 0; j < p; ++j) row += std::abs(gram[std::min(i, j) * stride + std::max(i, j)]);
        largest = std::max(largest, row);
        trace += gram[i * stride + i];
    }
    return std::min(trace, largest);
}

class Solver {
  public:
    Solver(RegressionProblem& problem, const RegressionOptions& options)
        : q_(problem),
          o_(options),
          k_(problem.kernels),
          f_(problem.factors),
          n_(problem.n),
          p_(problem.p),
          ld_(problem.stride) {}

    RegressionOutcome run() {
        if (n_ == 0) return {};
        return o_.cost == RegressionCost::squared ? squared() : logistic();
    }

  private:
    double* room(Rooms number, std::int64_t size) { return q_.scratch(number, size); }
    double sum_of(const double* x, std::int64_t size) const { return std::accumulate(x, x + size, 0.0); }
    double* theta() { return q_.theta.data(); }
    double* inverses(std::int64_t stride) { return room(kInverses, 2 * kRegressionPad * stride); }

    // The weighted mean of the features, 0 without an intercept.
    const double* feature_mean(double total_weight) {
        double* mean = room(kMean, ld_);
        if (!o_.intercept) {
            std::fill_n(mean, ld_, 0.0);
            return mean;
        }
        k_.transposed_times(q_.x, ld_, n_, ld_, q_.w.data(), mean);
        for (std::int64_t j = 0; j < ld_; ++j) mean[j] /= total_weight;
        return mean;
    }

    // Zeroed (size, stride) matrix with 1 on the padding's diagonal, and reg on the rest of it.
    double* empty_gram(std::int64_t size, std::int64_t stride, double reg) {
        double* gram = room(kGram, stride * stride);
        std::fill_n(gram, stride * stride, 0.0);
        for (std::int64_t j = 0; j < stride; ++j) gram[j * stride + j] = j < size ? reg : 1.0;
        return gram;
    }

    // X' as (p, round(n)), for the forms that work on ratings.
    const double* transposed(std::int64_t stride) {
        double* t = room(kKernel, p_ * stride);
        std::fill_n(t, p_ * stride, 0.0);
        for (std::int64_t r = 0; r < n_; ++r)
            for (std::int64_t j = 0; j < p_; ++j) t[j * stride + r] = q_.x[r * ld_ + j];
        return t;
    }

    // -----------------------------------------------------------------------------------------------------------
    // Squared cost
    // -----------------------------------------------------------------------------------------------------------

    RegressionOutcome squared() {
        const double total = sum_of(q_.w.data(), n_);
        const double y_mean =
            o_.intercept ? std::inner_product(q_.w.begin(), q_.w.end(), q_.y.begin(), 0.0) / total : 0.0;
        const double* mean = feature_mean(total);
        double* roots = room(kRoots, n_);
        double* target = room(kTarget, n_);
        for (std::int64_t r = 0; r < n_; ++r) {
            roots[r] = std::sqrt(q_.w[static_cast<std::size_t>(r)]);
            target[r] = roots[r] * (q_.y[static_cast<std::size_t>(r)] - y_mean);
        }
        k_.shift_scale(q_.x, ld_, n_, ld_, mean, roots, q_.x);  // A
        RegressionOutcome outcome;
        if (o_.solver == RegressionSolver::gradient)
            outcome = descend_squared(target);
        else if (!normal_equations(target))
            least_norm(q_, target, o_.reg);
        outcome.intercept = y_mean - k_.dot(mean, theta(), ld_);
        return outcome;
    }

    // False where the equations are singular to working precision.
    bool normal_equations(const double* target) {
        const bool by_ratings = n_ < p_;
        if (o_.reg == 0 && by_ratings && o_.intercept) return false;  // centred rows are dependent
        const std::int64_t size = by_ratings ? n_ : p_;
        const std::int64_t stride = RegressionProblem::padded(size);
        double* gram = empty_gram(size, stride, o_.reg);
        double* right = room(kVector, stride);
        if (by_ratings) {
            f_.gram(transposed(stride), stride, p_, stride, 0, true, gram, stride);
            std::fill_n(std::copy_n(target, n_, right), stride - n_, 0.0);
        } else {
            f_.gram(q_.x, ld_, n_, stride, 0, true, gram, stride);
            k_.transposed_times(q_.x, ld_, n_, ld_, target, right);
        }
        if (!f_.cholesky(gram, stride, stride, 0, kPivotTolerance, inverses(stride))) return false;
        f_.solve(gram, stride, stride, inverses(stride), right);
        if (by_ratings)
            k_.transposed_times(q_.x, ld_, n_, ld_, right, theta());
        else
            std::copy_n(right, stride, theta());
        return true;
    }

    RegressionOutcome descend_squared(const double* target) {
        double* gram = empty_gram(p_, ld_, 0.0);
        f_.gram(q_.x, ld_, n_, ld_, 0, true, gram, ld_);
        for (std::int64_t i = 0; i < p_; ++i)
            for (std::int64_t j = 0; j < i; ++j) gram[i * ld_ + j] = gram[j * ld_ + i];
        double* right = room(kVector, ld_);
        k_.transposed_times(q_.x, ld_, n_, ld_, target, right);
        double squares = 0;
        for (std::int64_t j = 0; j < p_; ++j) squares += gram[j * ld_ + j];
        const double goal = o_.tolerance * std::sqrt(k_.dot(target, target, n_) * squares);
        const double rate = 1.0 / std::max(curvature_bound(gram, p_, ld_) + o_.reg, std::numeric_limits<double>::min());
        double* gradient = room(kStep, ld_);
        for (int iteration = 0;; ++iteration) {
            k_.times(gram, ld_, p_, ld_, theta(), gradient);
            double norm = 0;
            for (std::int64_t j = 0; j < p_; ++j) {
                gradient[j] += o_.reg * theta()[j] - right[j];
                norm += gradient[j] * gradient[j];
            }
            if (std::sqrt(norm) <= goal) return {0, iteration, true};
            if (iteration == o_.max_iterations) return {0, iteration, false};
            for (std::int64_t j = 0; j < p_; ++j) theta()[j] -= rate * gradient[j];
        }
    }

    // -----------------------------------------------------------------------------------------------------------
    // Logistic cost
    // -----------------------------------------------------------------------------------------------------------

    RegressionOutcome logistic() {
        double ones = 0, zeros = 0;
        for (std::size_t r = 0; r < q_.y.size(); ++r) {
            ones += q_.w[r] * q_.y[r];
            zeros += q_.w[r] * (1 - q_.y[r]);
        }
        RegressionOutcome outcome;
        if (o_.intercept && (ones <= 0 || zeros <= 0)) {
            outcome.intercept = std::log((ones + 0.5) / (zeros + 0.5));
            return outcome;
        }
        const double* mean = feature_mean(ones + zeros);
        k_.shift_scale(q_.x, ld_, n_, ld_, mean, nullptr, q_.x);
        bias_ = o_.intercept ? std::log(ones / zeros) : 0.0;
        margin_ = room(kMargin, n_);
        std::fill_n(margin_, n_, bias_);
        residual_ = room(kTarget, n_);
        curvature_ = room(kCurvature, n_);
        loss_ = evaluate(nullptr, 0);
        feature_norm_ = std::sqrt(k_.dot(q_.x, q_.x, n_ * ld_));
        residual_norm_ = std::sqrt(k_.dot(residual_, residual_, n_));
        if (o_.solver == RegressionSolver::gradient)
            outcome = descend_logistic(ones + zeros);
        else
            // by ratings, a step is 1/reg times a difference: digits go where the features are very large
            outcome = n_ < p_ && feature_norm_ * feature_norm_ <= 1e9 * o_.reg ? newton<true>() : newton<false>();
        outcome.intercept = bias_ - k_.dot(mean, theta(), ld_);
        return outcome;
    }

    // The loss at the margins z + t dz (no step: at z), with the residuals w l' and the curvatures w l'' there.
    double evaluate(const double* step, double t) {
        double total = 0;
        for (std::int64_t r = 0; r < n_; ++r) {
            const auto e = static_cast<std::size_t>(r);
            const double z = step != nullptr ? margin_[r] + t * step[r] : margin_[r];
            double slope;
            total += q_.w[e] * logistic_loss(z, q_.y[e], &slope);
            residual_[r] = q_.w[e] * slope;
            curvature_[r] = q_.w[e] * logistic_curvature(z);
        }
        return total;
    }

    bool small_enough(double squared_gradient, double bias_gradient) const {
        const double goal = o_.tolerance * residual_norm_;
        return std::sqrt(std::max(squared_gradient, 0.0)) <= goal * feature_norm_ &&
               (!o_.intercept || std::abs(bias_gradient) <= goal * std::sqrt(static_cast<double>(n_)));
    }

    RegressionOutcome descend_logistic(double total_weight) {
        double* roots = room(kRoots, n_);
        for (std::int64_t r = 0; r < n_; ++r) roots[r] = std::sqrt(q_.w[static_cast<std::size_t>(r)]);
        double* gram = empty_gram(p_, ld_, 0.0);
        add_blocks(roots, nullptr, gram);
        double bound = curvature_bound(gram, p_, ld_);  // centred features: the intercept's curvature stands apart
        if (o_.intercept) bound = std::max(bound, total_weight);
        const double rate = 1.0 / (bound / 4 + o_.reg);
        double* gradient = room(kStep, ld_);
        for (int iteration = 0;; ++iteration) {
            k_.transposed_times(q_.x, ld_, n_, ld_, residual_, gradient);
            double norm = 0;
            for (std::int64_t j = 0; j < p_; ++j) {
                gradient[j] += o_.reg * theta()[j];
                norm += gradient[j] * gradient[j];
            }
            const double bias_gradient = o_.intercept ? sum_of(residual_, n_) : 0.0;
            if (small_enough(norm, bias_gradient)) return {0, iteration, true};
            if (iteration == o_.max_iterations) return {0, iteration, false};
            for (std::int64_t j = 0; j < p_; ++j) theta()[j] -= rate * gradient[j];
            bias_ -= rate * bias_gradient;
            k_.times(q_.x, ld_, n_, ld_, theta(), margin_);
            for (std::int64_t r = 0; r < n_; ++r) margin_[r] += bias_;
            evaluate(nullptr, 0);
        }
    }

    // gram += sum_r scale_r^2 (x_r - center)(x_r - center)', a block of rows at a time.
    void add_blocks(const double* scale, const double* center, double* gram) {
        double* block = room(kBlock, kBlockRows * ld_);
        for (std::int64_t first = 0; first < n_; first += kBlockRows) {
            const std::int64_t rows = std::min(kBlockRows, n_ - first);
            k_.shift_scale(q_.x + first * ld_, ld_, rows, ld_, center, scale + first, block);
            f_.gram(block, ld_, rows, ld_, 0, true, gram, ld_);
        }
    }

    // What a Newton step amounts to: the inner products that the line search needs, and the step of the intercept.
    struct Step {
        double slope = 0;    // gradient . step, intercept included
        double cross = 0;    // theta . step
        double squares = 0;  // step . step
        double bias = 0;
    };

    // Factorises gram + damping; where that is singular to working precision, with just enough damping: the step still
    // descends. `build` fills the matrix anew.
    template <class Build>
    void factorise(std::int64_t size, std::int64_t stride, Build&& build) {
        double damping = 0;
        for (int attempt = 0;; ++attempt) {
            double* gram = build(damping);
            double largest = o_.reg;
            for (std::int64_t j = 0; j < size; ++j) largest = std::max(largest, gram[j * stride + j]);
            if (f_.cholesky(gram, stride, stride, 0, kEpsilon, inverses(stride)) || attempt == 20) return;
            damping = std::max(100 * damping, 1e-13 * largest);
        }
    }

    // x = (sum_r scale_r^2 (x_r - center)(x_r - center)' + reg I)^-1 x in float32: a Newton step need not be exact.
    // False where the condition is too bad for that.
    bool solve_in_floats(const double* scale, const double* center, double* x) {
        const std::int64_t size = RegressionProblem::padded_floats(p_), lead = size - p_;
        float* gram = q_.float_scratch(kFloatGram, size * size);
        float* block = q_.float_scratch(kFloatBlock, kBlockRows * size);
        for (std::int64_t first = 0; first < n_; first += kBlockRows) {
            const std::int64_t rows = std::min(kBlockRows, n_ - first);
            k_.center_scale_narrow(q_.x + first * ld_, ld_, rows, p_, center, scale + first, block, size);
            f_.gram_float(block, size, rows, size, lead, first > 0, gram, size);
        }
        float* inverses = q_.float_scratch(kFloatInverses, 2 * kRegressionFloatPad * size);
        pad_and_penalise(gram, size, lead, o_.reg);
        if (!f_.cholesky_float(gram, size, size, lead, kFloatPivotTolerance, inverses)) return false;
        float* change = q_.float_scratch(kFloatVector, size);
        std::fill_n(change, lead, 0.0f);
        const double length = std::sqrt(k_.dot(x, x, ld_)), unit = length > 0 ? length : 1.0;
        for (std::int64_t j = 0; j < p_; ++j) change[lead + j] = static_cast<float>(x[j] / unit);
        f_.solve_float(gram, size, size, inverses, change);
        for (std::int64_t j = 0; j < p_; ++j) x[j] = unit * static_cast<double>(change[lead + j]);
        return true;
    }

    // H = X' M X + reg I with M = S - s s' / sum(s) (S alone without an intercept): the intercept is eliminated.
    // By features: theta moves by -H^-1 (g - mean_s gb). By ratings: theta = X' a, K = X X', and a moves by
    // -(M K + reg I)^-1 (v - s gb / sum(s)) with v = residual + reg a, through (reg I + B' K B), M = B B'.
    template <bool by_ratings>
    RegressionOutcome newton() {
        const std::int64_t size = by_ratings ? n_ : p_;
        const std::int64_t stride = RegressionProblem::padded(size);
        std::vector<double> parameters(static_cast<std::size_t>(stride)), gradient(parameters), share(parameters),
            image(parameters), weighted(parameters), kernel;
        double* step = room(kStep, stride);
        double* margin_step = room(kMarginStep, n_);
        double* roots = room(kRoots, n_);
        if constexpr (by_ratings) {
            kernel.assign(static_cast<std::size_t>(n_ * stride), 0.0);
            const double* across = transposed(stride);
            double* gram = empty_gram(n_, stride, 0.0);
            f_.gram(across, stride, p_, stride, 0, true, gram, stride);
            for (std::int64_t i = 0; i < n_; ++i)
                for (std::int64_t j = 0; j < n_; ++j)
                    kernel[static_cast<std::size_t>(i * stride + j)] = gram[std::min(i, j) * stride + std::max(i, j)];
        }
        const auto finish = [&](int iterations, bool converged) {
            if constexpr (by_ratings)
                k_.transposed_times(q_.x, ld_, n_, ld_, parameters.data(), theta());
            else
                std::copy_n(parameters.data(), stride, theta());
            return RegressionOutcome{0, iterations, converged};
        };
        double penalty = 0;  // reg/2 |theta|^2
        bool floats = !by_ratings && p_ >= kFewestForFloats;
        for (int iteration = 0;; ++iteration) {
            const double bias_gradient = o_.intercept ? sum_of(residual_, n_) : 0.0;
            const double curvature = sum_of(curvature_, n_);
            const bool centred = o_.intercept && curvature > std::numeric_limits<double>::min();
            double squared_gradient;
            if constexpr (by_ratings) {
                for (std::int64_t r = 0; r < n_; ++r)
                    gradient[static_cast<std::size_t>(r)] =
                        residual_[r] + o_.reg * parameters[static_cast<std::size_t>(r)];
                k_.times(kernel.data(), stride, n_, stride, gradient.data(), image.data());
                squared_gradient = k_.dot(gradient.data(), image.data(), n_);
            } else {
                k_.transposed_times(q_.x, ld_, n_, ld_, residual_, gradient.data());
                for (std::size_t j = 0; j < gradient.size(); ++j) gradient[j] += o_.reg * parameters[j];
                squared_gradient = k_.dot(gradient.data(), gradient.data(), stride);
            }
            if (small_enough(squared_gradient, bias_gradient)) return finish(iteration, true);
            if (iteration == o_.max_iterations) return finish(iteration, false);

            for (std::int64_t r = 0; r < n_; ++r) roots[r] = std::sqrt(curvature_[r]);
            Step taken;
            if constexpr (by_ratings) {
                for (std::int64_t r = 0; r < n_; ++r)
                    share[static_cast<std::size_t>(r)] = centred ? curvature_[r] / curvature : 0.0;
                step_by_ratings(kernel.data(), stride, roots, share.data(), gradient.data(), bias_gradient,
                                weighted.data(), image.data(), step);
                k_.times(kernel.data(), stride, n_, stride, step, margin_step);
                taken.slope = k_.dot(gradient.data(), margin_step, n_);
                taken.cross = k_.dot(parameters.data(), margin_step, n_);
                taken.squares = k_.dot(step, margin_step, n_);
                if (centred) taken.bias = -bias_gradient / curvature - k_.dot(share.data(), margin_step, n_);
            } else {
                std::fill(share.begin(), share.end(), 0.0);  // the mean of the features under the curvatures
                if (centred) {
                    k_.transposed_times(q_.x, ld_, n_, ld_, curvature_, share.data());
                    for (double& value : share) value /= curvature;
                }
                for (std::int64_t j = 0; j < stride; ++j) {
                    const auto f = static_cast<std::size_t>(j);
                    step[j] = share[f] * bias_gradient - gradient[f];
                }
                floats = floats && solve_in_floats(roots, share.data(), step);
                if (!floats) {
                    const double* gram = nullptr;
                    factorise(p_, stride, [&](double damping) {
                        double* matrix = empty_gram(p_, stride, o_.reg + damping);
                        add_blocks(roots, share.data(), matrix);
                        gram = matrix;
                        return matrix;
                    });
                    f_.solve(gram, stride, stride, inverses(stride), step);
                }
                k_.times(q_.x, ld_, n_, ld_, step, margin_step);
                taken.slope = k_.dot(gradient.data(), step, stride);
                taken.cross = k_.dot(parameters.data(), step, stride);
                taken.squares = k_.dot(step, step, stride);
                if (centred) taken.bias = -bias_gradient / curvature - k_.dot(share.data(), step, stride);
            }
            taken.slope += bias_gradient * taken.bias;
            for (std::int64_t r = 0; r < n_; ++r) margin_step[r] += taken.bias;

            // Halve the step until the cost falls as it should, up to the rounding of the cost.
            const double before = loss_ + penalty;
            double t = 1;
            const auto penalty_at = [&](double share_of_step) {
                return penalty + o_.reg * share_of_step * (taken.cross + share_of_step * taken.squares / 2);
            };
            const auto falls = [&] {
                loss_ = evaluate(margin_step, t);
                return loss_ + penalty_at(t) <= before + 1e-4 * t * taken.slope + 4 * kEpsilon * std::abs(before);
            };
            while (!falls() && t > 1e-10) t /= 2;
            penalty = penalty_at(t);
            for (std::size_t j = 0; j < parameters.size(); ++j) parameters[j] += t * step[j];
            for (std::int64_t r = 0; r < n_; ++r) margin_[r] += t * margin_step[r];
            bias_ += t * taken.bias;
            if (std::abs(taken.slope) <= kEpsilon * std::abs(before)) return finish(iteration + 1, true);  // flat
        }
    }

    void step_by_ratings(const double* kernel, std::int64_t stride, const double* roots, const double* share,
                         const double* gradient, double bias_gradient, double* centred, double* image, double* step) {
        double* pull = room(kVector, stride);  // K share
        k_.times(kernel, stride, n_, stride, share, pull);
        const double mutual = k_.dot(share, pull, n_);
        const double* gram = nullptr;
        factorise(n_, stride, [&](double damping) {
            double* matrix = empty_gram(n_, stride, o_.reg + damping);
            for (std::int64_t i = 0; i < n_; ++i)
                for (std::int64_t j = i; j < n_; ++j)
                    matrix[i * stride + j] +=
                        roots[i] * roots[j] * (kernel[i * stride + j] - pull[i] - pull[j] + mutual);
            gram = matrix;
            return matrix;
        });
        for (std::int64_t r = 0; r < n_; ++r) centred[r] = gradient[r] - share[r] * bias_gradient;
        k_.times(kernel, stride, n_, stride, centred, image);
        const double offset = k_.dot(share, image, n_);
        std::fill_n(step, stride, 0.0);
        for (std::int64_t r = 0; r < n_; ++r) step[r] = roots[r] * (image[r] - offset);
        f_.solve(gram, stride, stride, inverses(stride), step);
        const double total = k_.dot(roots, step, n_);
        for (std::int64_t r = 0; r < n_; ++r) step[r] = (roots[r] * step[r] - share[r] * total - centred[r]) / o_.reg;
    }

    RegressionProblem& q_;
    const RegressionOptions& o_;
    const RegressionKernels& k_;
    const FactorKernels& f_;
    std::int64_t n_, p_, ld_;
    double bias_ = 0, loss_ = 0, feature_norm_ = 0, residual_norm_ = 0;
    double *margin_ = nullptr, *residual_ = nullptr, *curvature_ = nullptr;
};

}  // namespace

RegressionOutcome regress(RegressionProblem& problem, const RegressionOptions& options) {
    return Solver(problem, options).run();
}

}  // namespace fastcf
