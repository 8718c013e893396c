// Rows by conjugate gradients: the matrix of a row is applied, never made.
#include <algorithm>

#include "cuda/als.h"

namespace fastcf::als {
namespace {

constexpr int kChunk = 64;  // ratings whose residuals are known before their rows are added up

// How the columns are shared out among the threads of a block, several threads to a column where there are enough, and
// the floats that a block needs: five vectors, and the sums of every share of the ratings.
struct Split {
    Split(int k, int d, int threads)
        : across(std::min((k + kWarp - 1) / kWarp * kWarp, threads)),
          shares(threads / across),
          pitch((d + 3) / 4 * 4),
          words((5 + shares) * static_cast<std::int64_t>(pitch)) {}

    int across, shares, pitch;
    std::int64_t words;
};

struct Iteration {
    Shared<float> sums;       // (shares, pitch)
    Shared<float> residuals;  // of a chunk of ratings
    Shared<std::int32_t> columns;
    Shared<double> scratch;
};

// out = precision sum w (t - a.v) a - (reg + what all columns add, bias_reg) v; t = 0 without `targets`. Rows of a
// chunk are read twice, the second time from the first-level cache.
FASTCF_DEVICE void apply(const Problem& problem, const Prior& prior, std::int64_t row, bool targets, Shared<float> v,
                         Shared<float> out, const Split& split, const Iteration& work) {
    const int t = this_thread(), k = problem.k, part = t % kRatingLanes, share = t / split.across;
    const int own = t - share * split.across;  // the first of the thread's columns
    const std::int64_t end = problem.indptr[row + 1];
    const float bias = problem.d > k ? v[k] : 0.0f, offset = row_offset(problem, row);
    const Shared<float> sums = work.sums + share * split.pitch;
    FASTCF_NO_UNROLL
    for (int f = own; share < split.shares && f < k; f += split.across) sums[f] = 0.0f;
    double total = 0.0;
    for (std::int64_t first = problem.indptr[row]; first < end; first += kChunk) {
        const int count = end - first < kChunk ? static_cast<int>(end - first) : kChunk;
        for (int u = t / kRatingLanes; u < kChunk; u += block_threads() / kRatingLanes) {
            const std::int64_t e = first + u;
            const std::int32_t column = u < count ? problem.columns[e] : 0;
            const float product = lanes_product(column_row(problem, column), v, u < count ? k : 0, problem.by_four);
            if (u < count && part == 0) {
                const float target = targets ? rating_target(problem, e, column, offset) : 0.0f;
                const float weight = problem.weights == nullptr ? 1.0f : problem.weights[e];
                const float residual = weight * (target - product - bias);
                work.columns[u] = column;
                work.residuals[u] = residual;
                total += static_cast<double>(residual);
            }
        }
        block_sync();
        for (int f = own; share < split.shares && f < k; f += split.across) {
            float sum = sums[f];
            for (int u = share; u < count; u += split.shares) {
                const std::int32_t column = work.columns[u];
                const float q = column_row(problem, column)[f];
                sum += work.residuals[u] * q;
            }
            sums[f] = sum;
        }
        block_sync();
    }
    total = block_sum(total, work.scratch);
    const float reg = problem.penalties[row];
    FASTCF_NO_UNROLL
    for (int f = t; f < problem.d; f += block_threads()) {
        float sum = 0.0f;
        for (int s = 0; f < k && s < split.shares; ++s) sum += work.sums[s * split.pitch + f];
        const float x = v[f];
        out[f] = f < k ? prior.precision * sum - (reg + prior.of_all(f)) * x
                       : prior.precision * static_cast<float>(total) - prior.bias_reg * x;
    }
    block_sync();
}

FASTCF_DEVICE double inner_product(Shared<float> u, Shared<float> v, int d, Shared<double> scratch) {
    double sum = 0.0;
    FASTCF_NO_UNROLL
    for (int f = this_thread(); f < d; f += block_threads()) {
        const float a = u[f], b = v[f];
        sum += static_cast<double>(a) * static_cast<double>(b);
    }
    return block_sum(sum, scratch);
}

// sum scale r^2
FASTCF_DEVICE double scaled_norm(Shared<float> r, Shared<float> scale, int d, Shared<double> scratch) {
    double sum = 0.0;
    FASTCF_NO_UNROLL
    for (int f = this_thread(); f < d; f += block_threads()) {
        const float a = r[f], b = scale[f];
        sum += static_cast<double>(a) * static_cast<double>(a) * static_cast<double>(b);
    }
    return block_sum(sum, scratch);
}

// The inverse of the preconditioner: 1 without a spectrum.
FASTCF_DEVICE void set_scale(const Problem& problem, const Prior& prior, std::int64_t row, Shared<float> scale,
                             Shared<double> scratch) {
    double weight = 0.0;
    const std::int64_t begin = problem.indptr[row], end = problem.indptr[row + 1];
    if (prior.spectrum != nullptr) {
        for (std::int64_t e = begin + this_thread(); e < end; e += block_threads()) {
            float own = 1.0f;
            if (problem.weights != nullptr) own = problem.weights[e];
            weight += static_cast<double>(own);
        }
    }
    weight = block_sum(weight, scratch);
    const float all = prior.precision * static_cast<float>(weight) * prior.column_share, reg = problem.penalties[row];
    FASTCF_NO_UNROLL
    for (int f = this_thread(); f < problem.d; f += block_threads()) {
        float inverse = 1.0f;
        if (prior.spectrum != nullptr) {
            const float entry = prior.spectrum[f];
            inverse = 1.0f / (reg + (prior.unobserved + all) * entry);
        }
        scale[f] = inverse;
    }
}

// The row's factors from `x` on to what `steps` steps make of them (Hestenes and Stiefel 1952).
FASTCF_DEVICE void iterate_row(const Problem& problem, const Prior& prior, std::int64_t row, int steps, Shared<float> x,
                               const Split& split, const Iteration& work) {
    const int t = this_thread(), threads = block_threads(), k = problem.k, d = problem.d, pitch = split.pitch;
    const Shared<float> residual = x + pitch, direction = x + 2 * pitch, product = x + 3 * pitch, scale = x + 4 * pitch;
    FASTCF_NO_UNROLL
    for (int f = t; f < pitch; f += threads) {
        float value = 0.0f;
        if (f < k) value = problem.factors[row * problem.stride + f];
        if (f == k && d > k) value = problem.bias[row];
        x[f] = value;
        direction[f] = 0.0f;
    }
    set_scale(problem, prior, row, scale, work.scratch);
    block_sync();
    double size = 0.0, enough = 0.0;
    for (int step = 0; step <= steps && (step == 0 || (size > 0.0 && size >= enough)); ++step) {
        // At first what is left of the equations at x; then minus A times the direction.
        const Shared<float> from = step == 0 ? x : direction, to = step == 0 ? residual : product;
        apply(problem, prior, row, step == 0, from, to, split, work);
        float length = 0.0f;
        if (step > 0) {
            const double curvature = -inner_product(direction, product, d, work.scratch);
            if (!(curvature > 0.0)) break;
            length = static_cast<float>(size) / static_cast<float>(curvature);
        }
        FASTCF_NO_UNROLL
        for (int f = t; step > 0 && f < d; f += threads) {
            x[f] += length * direction[f];
            residual[f] += length * product[f];
        }
        const double next = scaled_norm(residual, scale, d, work.scratch);
        const float part = step == 0 ? 0.0f : static_cast<float>(next) / static_cast<float>(size);
        FASTCF_NO_UNROLL
        for (int f = t; f < d; f += threads) direction[f] = scale[f] * residual[f] + part * direction[f];
        size = next;
        if (step == 0) enough = 1e-12 * size;
        block_sync();
    }
    FASTCF_NO_UNROLL
    for (int f = t; f < d; f += threads) {
        const float value = x[f];
        if (f < k)
            problem.factors[row * problem.stride + f] = value;
        else
            problem.bias[row] = value;
    }
}

// One block per row: per rating and pass 4 k + 16 bytes and 4 k flops, cg_steps + 1 passes. Bound by fetching rows: on
// an H200 4.8 TB/s are at most 17 G ratings/s and pass at k = 64 where they come from memory. 128 threads, 256 for long
// rows; 0.8 KB of shared memory and 24 d bytes. Deterministic.
template <bool kInShared>
FASTCF_KERNEL(kThreads, (kInShared ? 4 : 3))  // with four, vectors in memory would spill registers on sm_90
void iterate_kernel(Problem problem, Prior prior, Split split, int steps, LongRows long_rows, bool only_long,
                    std::int64_t rows, Global<float> memory) {
    FASTCF_SHARED(float, residuals, kChunk);
    FASTCF_SHARED(std::int32_t, columns, kChunk);
    FASTCF_SHARED(double, scratch, kWarp);
    FASTCF_DYNAMIC_SHARED(float, shared);
    const Shared<float> x = kInShared ? shared : memory + blockIdx.x * split.words;
    const Iteration work{x + 5 * split.pitch, residuals, columns, scratch};
    for (std::int64_t i = blockIdx.x; i < rows; i += gridDim.x) {
        std::int64_t row = i;
        if (only_long) row = long_rows.rows[i];
        const std::int64_t n = problem.indptr[row + 1] - problem.indptr[row];
        if (n == 0)
            clear_row(problem, row);
        else if (only_long || n <= long_rows.piece)
            iterate_row(problem, prior, row, steps, x, split, work);
        if (kInShared) return;  // a block for every row: what a loop keeps would cost registers
        block_sync();
    }
}

}  // namespace

void iterate(const Problem& problem, const Prior& prior, int steps, const Plan& plan, std::int64_t rows) {
    constexpr std::int64_t kBlocksInMemory = 512;
    const auto launch = [&](std::int64_t n, int threads, bool only_long) {
        const Split split(problem.k, problem.d, threads);
        if (4 * split.words + 1024 <= most_shared_bytes()) {
            FASTCF_LAUNCH(iterate_kernel<true>, n, threads, 4 * split.words, problem, prior, split, steps, plan.parts,
                          only_long, n, nullptr);
            return;
        }
        const std::int64_t blocks = std::min(n, kBlocksInMemory);
        DeviceArray<float> memory(blocks * split.words);
        FASTCF_LAUNCH(iterate_kernel<false>, blocks, threads, 16, problem, prior, split, steps, plan.parts, only_long,
                      n, memory.data());
    };
    launch(plan.n_long, kThreads, true);
    launch(rows, kRowThreads, false);
}

}  // namespace fastcf::als
