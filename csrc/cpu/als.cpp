#include "ops/als.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <vector>

#include "core/aligned.h"
#include "core/mix64.h"
#include "core/parallel.h"
#include "cpu/als_kernels.h"
#include "cpu/random_kernels.h"
#include "math/als.h"
#include "math/dot.h"
#include "math/penalty.h"

namespace fastcf {
namespace {

constexpr std::int64_t kRowsPerTask = 16;
constexpr std::int64_t kAlign = 16;
constexpr std::int64_t kWhiteningPays = 8;  // columns per row up to which all may be transformed (a choice)
constexpr std::int64_t kDualPays = 4;       // from k / n on, the system of the ratings is taken (a choice)

std::int64_t padded(std::int64_t n) {
    return (n + kAlign - 1) / kAlign * kAlign;
}

// One thread's memory.
struct Workspace {
    Workspace(std::int64_t k, std::int64_t d)
        : stride(padded(k)),
          ld(padded(d + 1)),
          packed(kAlsBlock * stride),
          weighted(kAlsBlock * stride),
          system(ld * ld),
          vectors(7 * ld) {}

    float* vector(int i) { return vectors.data() + i * ld; }

    std::int64_t stride, ld;
    AlignedBuffer<float> packed, weighted, system, vectors;
    std::vector<const float*> columns, white;  // of the row's ratings, and whitened
    std::vector<float> weights, targets, zeros, products, scaled;
};

class Solver {
  public:
    Solver(const AlsProblem& problem, const AlsPrior& prior, const AlsMethod& method, MatrixView<float> factors,
           VectorView<float> bias)
        : kernels_(FASTCF_SELECT_ISA(als_kernels)),
          normals_(FASTCF_SELECT_ISA(random_kernels).normal),
          problem_(problem),
          prior_(prior),
          method_(method),
          factors_(factors),
          bias_(bias),
          k_(factors.cols),
          d_(k_ + (bias.empty() ? 0 : 1)) {
        if (!prior.spectrum.empty()) {
            diagonal_.assign(static_cast<std::size_t>(padded(k_)), 0.0f);
            expected_share_ = diagonal_;
            const double cols = static_cast<double>(std::max<std::int64_t>(problem.ratings.cols, 1));
            for (std::int64_t f = 0; f < k_; ++f) {
                const auto at = static_cast<std::size_t>(f);
                const auto entry = static_cast<double>(prior.spectrum[f]);
                diagonal_[at] = static_cast<float>(prior.unobserved * entry);
                expected_share_[at] = static_cast<float>(entry / cols);
            }
        }
        if (prior.matrix.data == nullptr) return;
        const std::int64_t ld = padded(d_ + 1);
        prior_system_.assign(static_cast<std::size_t>(d_ * ld), 0.0f);
        for (std::int64_t i = 0; i < d_; ++i) {
            const float* row = prior.matrix.row(i);
            float* out = prior_system_.data() + i * ld;
            std::copy_n(row, d_, out);
            out[d_] = std::inner_product(row, row + d_, prior.prior_mean.data, 0.0f);
        }
    }

    std::int64_t dimensions() const { return d_; }

    // Readies the coordinates in which the prior is N(0, I); not where it is singular or penalties come on top.
    void whiten(int n_threads) {
        if (prior_.matrix.data == nullptr || prior_.reg > 0 || prior_.bias_reg > 0) return;
        const std::int64_t ld = padded(d_ + 1), cols = problem_.ratings.cols;
        if (problem_.ratings.rows * kWhiteningPays < cols) return;
        std::vector<double> root(static_cast<std::size_t>(d_ * d_), 0.0);  // R, upper
        const auto r = [&](std::int64_t i, std::int64_t j) -> double& {
            return root[static_cast<std::size_t>(i * d_ + j)];
        };
        for (std::int64_t i = 0; i < d_; ++i) {
            for (std::int64_t j = i; j < d_; ++j) {
                double sum = static_cast<double>(prior_.matrix.row(i)[j]);
                for (std::int64_t p = 0; p < i; ++p) sum -= r(p, i) * r(p, j);
                if (j == i && !(sum > 0)) return;
                r(i, j) = j == i ? std::sqrt(sum) : sum / r(i, i);
            }
        }
        inverse_.assign(static_cast<std::size_t>(d_ * ld), 0.0f);          // rows of R^-1: whitened = sum_i a_i row_i
        inverse_columns_.assign(static_cast<std::size_t>(d_ * ld), 0.0f);  // its columns: R^-1 v = sum_j v_j column_j
        for (std::int64_t j = 0; j < d_; ++j) {
            std::vector<double> x(static_cast<std::size_t>(d_), 0.0);
            for (std::int64_t i = j; i >= 0; --i) {
                double sum = i == j ? 1.0 : 0.0;
                for (std::int64_t p = i + 1; p <= j; ++p) sum -= r(i, p) * x[static_cast<std::size_t>(p)];
                x[static_cast<std::size_t>(i)] = sum / r(i, i);
                inverse_[static_cast<std::size_t>(i * ld + j)] = static_cast<float>(x[static_cast<std::size_t>(i)]);
                inverse_columns_[static_cast<std::size_t>(j * ld + i)] =
                    static_cast<float>(x[static_cast<std::size_t>(i)]);
            }
        }
        std::vector<const float*> rows;
        for (std::int64_t i = 0; i < d_; ++i) {
            rows.push_back(inverse_.data() + i * ld);
            colour_.push_back(inverse_columns_.data() + i * ld);
        }
        mean_.assign(static_cast<std::size_t>(ld), 0.0f);
        std::copy_n(prior_.prior_mean.data, d_, mean_.begin());
        white_columns_.assign(static_cast<std::size_t>(cols * ld), 0.0f);
        expected_.assign(static_cast<std::size_t>(cols), 0.0f);
        parallel_chunks(cols, 256, n_threads, [&](std::int64_t begin, std::int64_t end, int) {
            std::vector<float> column(static_cast<std::size_t>(d_), 1.0f);
            for (std::int64_t c = begin; c < end; ++c) {
                std::copy_n(problem_.column_factors.row(c), k_, column.begin());
                kernels_.add_combination(rows.data(), column.data(), d_, ld, white_columns_.data() + c * ld);
                for (std::int64_t i = 0; i < d_; ++i)
                    expected_[static_cast<std::size_t>(c)] +=
                        column[static_cast<std::size_t>(i)] * mean_[static_cast<std::size_t>(i)];
            }
        });
    }

    void solve(std::int64_t row, Workspace& work) const {
        const std::int64_t n = problem_.ratings.row_size(row);
        float* const x = factors_.row(row);
        if (n == 0 && prior_.matrix.data == nullptr) {
            if (!method_.only_errors) {
                std::fill_n(x, k_, 0.0f);
                if (d_ > k_) bias_[row] = 0.0f;
            }
            if (!method_.squared_errors.empty()) method_.squared_errors[row] = 0;
            return;
        }
        gather(row, work);
        if (!method_.only_errors) improve(row, n, work);
        if (!method_.squared_errors.empty() || !method_.residuals.empty()) {
            const double error = squared_error(row, work);
            if (!method_.squared_errors.empty()) method_.squared_errors[row] = error;
        }
    }

  private:
    void improve(std::int64_t row, std::int64_t n, Workspace& work) const {
        if (!method_.residuals.empty()) {  // the targets of these factors: what the others leave
            work.products.resize(work.columns.size());
            kernels_.row_dots(work.columns.data(), n, k_, factors_.row(row), work.products.data());
            const float* const left = method_.residuals.data + problem_.ratings.indptr[row];
            for (std::size_t e = 0; e < work.targets.size(); ++e) work.targets[e] = left[e] + work.products[e];
        }
        const float reg =
            prior_.penalties.empty() ? row_penalty(n, prior_.reg, prior_.reg_exponent) : prior_.penalties[row];
        const bool few =
            n * kDualPays <= k_ && std::all_of(work.weights.begin(), work.weights.end(), [](float w) { return w > 0; });
        if (method_.cg_steps > 0 && d_ == k_)
            iterate_factors(row, reg, work);
        else if (method_.cg_steps > 0)
            iterate(row, reg, work);
        else if (few && !white_columns_.empty())
            correct_prior(row, work);
        else if (few && prior_.matrix.data == nullptr && method_.noise.data == nullptr && reg > 0 &&
                 (d_ == k_ || prior_.bias_reg > 0))
            eliminate_ratings(row, reg, work);
        else
            eliminate(row, reg, work);
    }

    void gather(std::int64_t row, Workspace& work) const {
        const CsrView& ratings = problem_.ratings;
        const std::int64_t begin = ratings.indptr[row];
        const auto n = static_cast<std::size_t>(ratings.row_size(row));
        work.columns.resize(n);
        work.weights.resize(n);
        work.targets.resize(n);
        const float offset = problem_.offset + (problem_.row_offset.empty() ? 0.0f : problem_.row_offset[row]);
        for (std::size_t e = 0; e < n; ++e) {
            const std::int64_t at = begin + static_cast<std::int64_t>(e);
            const std::int32_t column = ratings.indices[at];
            work.columns[e] = problem_.column_factors.row(column);
            work.weights[e] = problem_.weights.empty() ? 1.0f : problem_.weights[at];
            work.targets[e] = (ratings.values == nullptr ? 1.0f : ratings.values[at]) - offset -
                              (problem_.column_offset.empty() ? 0.0f : problem_.column_offset[column]);
        }
    }

    // Of the row just solved, whose columns are still in the cache. Writes residuals where these are asked for.
    double squared_error(std::int64_t row, Workspace& work) const {
        const std::size_t n = work.columns.size();
        work.products.resize(n);
        kernels_.row_dots(work.columns.data(), static_cast<std::int64_t>(n), k_, factors_.row(row),
                          work.products.data());
        const float bias = d_ > k_ ? bias_[row] : 0.0f;
        double total = 0;
        for (std::size_t e = 0; e < n; ++e) {
            const float left = work.targets[e] - bias - work.products[e];
            if (!method_.residuals.empty())
                method_.residuals[problem_.ratings.indptr[row] + static_cast<std::int64_t>(e)] = left;
            const auto error = static_cast<double>(left);
            total += static_cast<double>(work.weights[e]) * error * error;
        }
        return total;
    }

    // The normal equations, by Cholesky's factorisation.
    void eliminate(std::int64_t row, float reg, Workspace& work) const {
        const std::int64_t ld = work.ld, n = static_cast<std::int64_t>(work.columns.size());
        float* const a = work.system.data();
        float *const sums = work.vector(0), *const target_sums = work.vector(1);
        std::fill_n(a, ld * ld, 0.0f);
        std::fill_n(sums, ld, 0.0f);
        std::fill_n(target_sums, ld, 0.0f);
        double weight_sum = 0, weighted_target_sum = 0;
        for (std::int64_t begin = 0; begin < n; begin += kAlsBlock) {
            const std::int64_t count = std::min(kAlsBlock, n - begin);
            const float* w = work.weights.data() + begin;
            float wt[kAlsBlock];
            for (std::int64_t e = 0; e < count; ++e) {
                wt[e] = w[e] * work.targets[static_cast<std::size_t>(begin + e)];
                weight_sum += static_cast<double>(w[e]);
                weighted_target_sum += static_cast<double>(wt[e]);
            }
            kernels_.pack(work.columns.data() + begin, w, wt, count, k_, work.stride, work.packed.data(),
                          work.weighted.data(), sums, target_sums);
            kernels_.add_products(work.packed.data(), work.weighted.data(), count, work.stride, a, ld);
        }
        for (std::int64_t f = 0; f < k_; ++f) a[f * ld + d_] = target_sums[f];
        if (d_ > k_) {
            for (std::int64_t f = 0; f < k_; ++f) a[f * ld + k_] = sums[f];
            a[k_ * ld + k_] = static_cast<float>(weight_sum);
            a[k_ * ld + d_] = static_cast<float>(weighted_target_sum);
        }
        const auto precision = static_cast<float>(prior_.precision);
        if (!prior_system_.empty())
            kernels_.scale_add(a, precision, prior_system_.data(), d_, ld);
        else if (precision != 1.0f)
            for (std::int64_t i = 0; i < d_; ++i)
                for (std::int64_t j = i; j <= d_; ++j) a[i * ld + j] *= precision;
        for (std::int64_t f = 0; f < k_; ++f)
            a[f * ld + f] += diagonal_.empty() ? reg : reg + diagonal_[static_cast<std::size_t>(f)];
        if (d_ > k_) a[k_ * ld + k_] += static_cast<float>(prior_.bias_reg);
        float *const inverse = work.vector(2), *const x = work.vector(3);
        kernels_.factorise(a, d_, ld, inverse);
        kernels_.back_substitute(a, d_, ld, inverse, method_.noise.data == nullptr ? nullptr : method_.noise.row(row),
                                 x);
        std::copy_n(x, k_, factors_.row(row));
        if (d_ > k_) bias_[row] = x[k_];
    }

    // The same solution from the system of the row's ratings, which is smaller where they are few: with D the diagonal
    // of the penalties, x = D^-1 A^T (A D^-1 A^T + W^-1 / precision)^-1 t.
    void eliminate_ratings(std::int64_t row, float reg, Workspace& work) const {
        const std::int64_t n = static_cast<std::int64_t>(work.columns.size());
        const auto bias_share = static_cast<float>(d_ > k_ ? 1.0 / prior_.bias_reg : 0.0);
        float *const x = work.vector(2), *const share = work.vector(6);  // share: D^-1
        for (std::int64_t f = 0; f < k_; ++f)
            share[f] = 1.0f / (diagonal_.empty() ? reg : reg + diagonal_[static_cast<std::size_t>(f)]);
        std::fill_n(work.system.data(), n * work.ld, 0.0f);
        if (diagonal_.empty())
            kernels_.row_products(work.columns.data(), n, k_, share[0], bias_share, work.system.data(), work.ld);
        else
            kernels_.row_products(scaled_columns(share, work), n, k_, 1.0f, 0.0f, work.system.data(), work.ld);
        const float* const solution = solve_ratings(work.targets.data(), work);
        std::fill_n(x, work.ld, 0.0f);
        kernels_.add_combination(work.columns.data(), solution, n, k_, x);
        for (std::int64_t f = 0; f < k_; ++f) factors_.row(row)[f] = x[f] * share[f];
        if (d_ > k_) bias_[row] = std::accumulate(solution, solution + n, 0.0f) * bias_share;
    }

    // Copies of the row's columns times the roots of `share`.
    const float* const* scaled_columns(const float* share, Workspace& work) const {
        const std::size_t n = work.columns.size(), stride = static_cast<std::size_t>(work.stride);
        work.scaled.resize(n * stride);
        work.white.resize(n);
        float* const roots = work.vector(3);
        for (std::int64_t f = 0; f < k_; ++f) roots[f] = std::sqrt(share[f]);
        for (std::size_t e = 0; e < n; ++e) {
            float* const to = work.scaled.data() + e * stride;
            for (std::int64_t f = 0; f < k_; ++f) to[f] = roots[f] * work.columns[e][f];
            work.white[e] = to;
        }
        return work.white.data();
    }

    // The same for a prior with a matrix R^T R: v = R (x - mean) is N(0, I) before the ratings, which see it through
    // the whitened columns. A draw v0 of the prior is moved by what it misses the ratings, their noise drawn too.
    void correct_prior(std::int64_t row, Workspace& work) const {
        const std::int64_t ld = work.ld, n = static_cast<std::int64_t>(work.columns.size());
        const std::int64_t begin = problem_.ratings.indptr[row];
        float *const v = work.vector(2), *const x = work.vector(3), *const missed = work.vector(4),
                     *const noise = work.vector(5);
        std::fill_n(v, ld, 0.0f);
        std::fill_n(noise, n, 0.0f);
        if (method_.noise.data != nullptr) {
            std::copy_n(method_.noise.row(row), d_, v);
            normals_(random_key(method_.noise_seed, 0), static_cast<std::uint64_t>(begin), n, 1.0f, noise);
        }
        work.white.resize(work.columns.size());
        for (std::int64_t e = 0; e < n; ++e)
            work.white[static_cast<std::size_t>(e)] = white_columns_.data() + problem_.ratings.indices[begin + e] * ld;
        kernels_.row_dots(work.white.data(), n, ld, v, missed);
        for (std::int64_t e = 0; e < n; ++e) {
            const auto at = static_cast<std::size_t>(e);
            const float deviation = 1.0f / std::sqrt(static_cast<float>(prior_.precision) * work.weights[at]);
            missed[e] =
                work.targets[at] - expected_[problem_.ratings.indices[begin + e]] - missed[e] - deviation * noise[e];
        }
        std::fill_n(work.system.data(), n * ld, 0.0f);
        kernels_.row_products(work.white.data(), n, ld, 1.0f, 0.0f, work.system.data(), ld);
        const float* const solution = solve_ratings(missed, work);
        kernels_.add_combination(work.white.data(), solution, n, ld, v);
        std::copy_n(mean_.data(), ld, x);
        kernels_.add_combination(colour_.data(), v, d_, ld, x);
        std::copy_n(x, k_, factors_.row(row));
        if (d_ > k_) bias_[row] = x[k_];
    }

    // (products + W^-1 / precision)^-1 right, the products being in work.system.
    const float* solve_ratings(const float* right, Workspace& work) const {
        const std::int64_t ld = work.ld, n = static_cast<std::int64_t>(work.columns.size());
        float *const a = work.system.data(), *const inverse = work.vector(0), *const solution = work.vector(1);
        for (std::int64_t e = 0; e < n; ++e) {
            a[e * ld + e] += 1.0f / (static_cast<float>(prior_.precision) * work.weights[static_cast<std::size_t>(e)]);
            a[e * ld + n] = right[e];
        }
        kernels_.factorise(a, n, ld, inverse);
        kernels_.back_substitute(a, n, ld, inverse, nullptr, solution);
        return solution;
    }

    // The same equations by conjugate gradients (Hestenes and Stiefel 1952), without forming the matrix; no biases.
    void iterate_factors(std::int64_t row, float reg, Workspace& work) const {
        float* const x = work.vector(0);
        std::fill_n(x, work.ld, 0.0f);
        std::copy_n(factors_.row(row), k_, x);
        work.zeros.assign(work.targets.size(), 0.0f);
        const float weight_sum = std::accumulate(work.weights.begin(), work.weights.end(), 0.0f);
        const AlsIteration iteration{work.columns.data(),
                                     work.weights.data(),
                                     work.targets.data(),
                                     work.zeros.data(),
                                     static_cast<std::int64_t>(work.columns.size()),
                                     k_,
                                     reg,
                                     static_cast<float>(prior_.precision),
                                     weight_sum,
                                     diagonal_.empty() ? nullptr : diagonal_.data(),
                                     diagonal_.empty() ? nullptr : expected_share_.data(),
                                     method_.cg_steps};
        kernels_.iterate(iteration, x, work.vector(1));
        std::copy_n(x, k_, factors_.row(row));
    }

    // The same with a bias.
    void iterate(std::int64_t row, float reg, Workspace& work) const {
        const std::int64_t ld = work.ld, n = static_cast<std::int64_t>(work.columns.size());
        float *const x = work.vector(0), *const residual = work.vector(1), *const direction = work.vector(2),
                     *const product = work.vector(3);
        const auto precision = static_cast<float>(prior_.precision), bias_reg = static_cast<float>(prior_.bias_reg);
        std::fill_n(x, ld, 0.0f);
        std::copy_n(factors_.row(row), k_, x);
        if (d_ > k_) x[k_] = bias_[row];
        // out = precision sum w (t - a.v) a - (reg, bias_reg) v; the bias is kept apart while vectors run.
        const auto apply = [&](float* v, const float* targets, float* out) {
            const float bias = d_ > k_ ? v[k_] : 0.0f;
            if (d_ > k_) v[k_] = 0.0f;
            std::fill_n(out, ld, 0.0f);
            const float total =
                kernels_.add_residuals(work.columns.data(), work.weights.data(), targets, n, k_, v, bias, out);
            for (std::int64_t f = 0; f < k_; ++f) out[f] = precision * out[f] - reg * v[f];
            if (d_ > k_) {
                v[k_] = bias;
                out[k_] = precision * total - bias_reg * bias;
            }
        };
        apply(x, work.targets.data(), residual);
        std::copy_n(residual, ld, direction);
        double size = squared_norm(residual, d_);
        const double enough = 1e-12 * size;
        work.zeros.assign(work.targets.size(), 0.0f);
        for (int step = 0; step < method_.cg_steps && size > 0 && size >= enough; ++step) {
            apply(direction, work.zeros.data(), product);  // minus A times the direction
            const double curvature = -dot(direction, product, d_);
            if (!(curvature > 0)) break;
            const auto length = static_cast<float>(size / curvature);
            for (std::int64_t f = 0; f < d_; ++f) {
                x[f] += length * direction[f];
                residual[f] += length * product[f];
            }
            const double next = squared_norm(residual, d_);
            const auto share = static_cast<float>(next / size);
            for (std::int64_t f = 0; f < d_; ++f) direction[f] = residual[f] + share * direction[f];
            size = next;
        }
        std::copy_n(x, k_, factors_.row(row));
        if (d_ > k_) bias_[row] = x[k_];
    }

    const AlsKernels& kernels_;
    decltype(RandomKernels::normal) normals_;
    std::vector<float> prior_system_;  // the prior's matrix, then its product with the mean, in the rows' layout
    std::vector<float> diagonal_, expected_share_;  // unobserved times the spectrum, and the spectrum by column
    std::vector<float> inverse_, inverse_columns_, mean_, white_columns_, expected_;
    std::vector<const float*> colour_;
    const AlsProblem& problem_;
    const AlsPrior& prior_;
    const AlsMethod& method_;
    MatrixView<float> factors_;
    VectorView<float> bias_;
    std::int64_t k_, d_;
};

}  // namespace

void als_update(const AlsProblem& problem, const AlsPrior& prior, const AlsMethod& method, MatrixView<float> factors,
                VectorView<float> bias, int n_threads) {
    check_als(problem, prior, method, factors, bias);
    Solver solver(problem, prior, method, factors, bias);
    const std::int64_t work_per_row = (problem.ratings.nnz() / std::max<std::int64_t>(factors.rows, 1) + factors.cols) *
                                      std::max<std::int64_t>(factors.cols / 4, 1);
    const int threads = threads_for(factors.rows * work_per_row, n_threads);
    solver.whiten(threads);
    std::vector<Workspace> workspaces;
    for (int t = 0; t < threads; ++t) workspaces.emplace_back(factors.cols, solver.dimensions());
    parallel_chunks(factors.rows, kRowsPerTask, threads, [&](std::int64_t begin, std::int64_t end, int thread) {
        for (std::int64_t row = begin; row < end; ++row)
            solver.solve(row, workspaces[static_cast<std::size_t>(thread)]);
    });
}

}  // namespace fastcf
