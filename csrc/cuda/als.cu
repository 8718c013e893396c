// Which kernel solves a row: exactly, `exact_kernel`, one block per row, from the products of its ratings to the
// solution without leaving shared memory. Rows of more ratings than a piece has are the work of several blocks
// (`piece_kernel`), whose sums `join_kernel` adds in order: one block would still be at the longest row when all
// others are done. Systems too large for shared memory are made tile by tile in global memory (`product_kernel`) and
// solved there (`large_kernel`). Conjugate gradients: `iterate_kernel`, one block per row, larger ones for long rows;
// these are not split, for every step would want a sum over blocks in the middle.
#include <algorithm>

#include "cuda/als_system.h"
#include "cuda/staging.h"

namespace fastcf {
namespace als {
namespace {

constexpr std::int64_t kPiece = 4096;  // ratings that one block takes at the most (a choice)

// Per row its penalty, and for rows of more than `piece` ratings a place among the long ones. 12 bytes per row.
// Places depend on the order of atomic operations; what becomes of the row does not depend on its place.
FASTCF_KERNEL(kThreads)
void plan_kernel(Global<const std::int64_t> indptr, std::int64_t rows, double reg, double reg_exponent,
                 Global<const float> given, Global<float> penalties, LongRows long_rows) {
    const std::int64_t row = global_thread();
    if (row >= rows) return;
    const std::int64_t begin = indptr[row], n = indptr[row + 1] - begin;
    if (given == nullptr) {
        penalties[row] = row_penalty(n, reg, reg_exponent);
    } else {
        const float penalty = given[row];
        penalties[row] = penalty;
    }
    if (n <= long_rows.piece) return;
    const int pieces = static_cast<int>((n + long_rows.piece - 1) / long_rows.piece);
    const int place = atomic_add(long_rows.counts, 1), first = atomic_add(long_rows.counts + 1, pieces);
    long_rows.rows[place] = static_cast<int>(row);
    long_rows.first_pieces[place] = first;
    for (int p = 0; p < pieces; ++p) long_rows.row_of_piece[first + p] = place;
}

// right = the prior's matrix times its mean: a warp per row.
FASTCF_KERNEL(kThreads)
void prior_kernel(Global<const float> matrix, std::int64_t stride, Global<const float> mean, int d,
                  Global<float> right) {
    const std::int64_t row = global_warp();
    float sum = 0.0f;
    for (int j = lane_index(); row < d && j < d; j += kWarp) sum += matrix[row * stride + j] * mean[j];
    sum = warp_sum(sum);
    if (row < d && lane_index() == 0) right[row] = sum;
}

// One block per row: per rating 4 k + 16 bytes and k^2 + 3 k flops, per row d^3 / 3 + 2 d^2 flops and 4 d bytes.
// Bound by the multipliers: on an H200, 67 TFLOP/s are at most 16 G ratings/s at k = 64 (the bytes alone would allow
// 17), 4 G at k = 128, and for rows of few ratings by the chain of d pivots, some 100 cycles each. The threads of the
// smallest block that leaves few without a tile: 64, 128 and 160 at k = 32, 64 and 128; 6, 20 and 72 KB of shared
// memory. Deterministic.
FASTCF_KERNEL(kMostThreads)
void exact_kernel(Problem problem, Prior prior, Shape shape, std::int64_t longest) {
    FASTCF_WORKSPACE(work, shape, shape.area);
    const std::int64_t row = blockIdx.x, begin = problem.indptr[row], end = problem.indptr[row + 1];
    if (end - begin > longest) return;
    if (end == begin && prior.matrix == nullptr) {
        clear_row(problem, row);
        return;
    }
    add_up(problem, shape, row, begin, end, work);
    solve<int>(problem, prior, row, shape.size, shape.ld, work);
}

// The same products for one piece of a long row, and 4 d^2 bytes written.
FASTCF_KERNEL(kMostThreads)
void piece_kernel(Problem problem, Shape shape, LongRows long_rows, Global<float> systems) {
    FASTCF_WORKSPACE(work, shape, shape.area);
    const int piece = static_cast<int>(blockIdx.x), place = long_rows.row_of_piece[piece];
    const std::int64_t row = long_rows.rows[place], row_end = problem.indptr[row + 1];
    const std::int64_t begin = problem.indptr[row] + (piece - long_rows.first_pieces[place]) * long_rows.piece;
    add_up(problem, shape, row, begin, begin + long_rows.piece < row_end ? begin + long_rows.piece : row_end, work);
    const int words = shape.size * shape.ld;
    for (int u = 4 * this_thread(); u < words; u += 4 * block_threads())
        store4(systems + std::int64_t{piece} * words + u, load4(work.system + u));
}

// One block per long row: adds its pieces in order, 4 d^2 bytes each, and solves.
FASTCF_KERNEL(kMostThreads)
void join_kernel(Problem problem, Prior prior, Shape shape, LongRows long_rows, Global<const float> systems) {
    FASTCF_WORKSPACE(work, shape, shape.area);
    const int place = static_cast<int>(blockIdx.x), words = shape.size * shape.ld;
    const std::int64_t row = long_rows.rows[place], first = long_rows.first_pieces[place];
    const std::int64_t begin = problem.indptr[row], n = problem.indptr[row + 1] - begin;
    const int pieces = static_cast<int>((n + long_rows.piece - 1) / long_rows.piece);
    for (int u = 4 * this_thread(); u < words; u += 4 * block_threads()) {
        float4 sum = load4(systems + first * words + u);
        for (int p = 1; p < pieces; ++p) {
            const float4 part = load4(systems + (first + p) * words + u);
            sum = make_float4(sum.x + part.x, sum.y + part.y, sum.z + part.z, sum.w + part.w);
        }
        store4(work.system + u, sum);
    }
    block_sync();
    solve<int>(problem, prior, row, shape.size, shape.ld, work);
}

// The squared errors of a row's ratings, one block per row: 4 k + 16 bytes and 2 k flops per rating. Bound by fetching
// rows: on an H200 at most 17 G ratings/s at k = 64 from memory, more from cache. 128 threads, 512 for long rows, eight
// to a rating, 256 bytes of shared memory. Deterministic: sums are float64 in a fixed order.
FASTCF_KERNEL(kMostThreads)
void error_kernel(Problem problem, LongRows long_rows, bool only_long, Global<double> sums) {
    FASTCF_SHARED(double, scratch, kWarp);
    std::int64_t row = blockIdx.x;
    if (only_long) row = long_rows.rows[row];
    const std::int64_t begin = problem.indptr[row], end = problem.indptr[row + 1];
    if (!only_long && end - begin > long_rows.piece) return;
    const Global<const float> x = problem.factors + row * problem.stride;
    const float offset = row_offset(problem, row), bias = problem.d > problem.k ? problem.bias[row] : 0.0f;
    double total = 0.0;
    for (std::int64_t first = begin; first < end; first += block_threads() / kRatingLanes) {
        const std::int64_t e = first + this_thread() / kRatingLanes;
        const std::int32_t column = e < end ? problem.columns[e] : 0;
        const float product = lanes_product(column_row(problem, column), x, e < end ? problem.k : 0,
                                            problem.by_four && problem.rows_by_four);
        if (e < end && this_thread() % kRatingLanes == 0) {
            const double error = static_cast<double>(rating_target(problem, e, column, offset) - bias - product);
            const double weight = problem.weights == nullptr ? 1.0 : static_cast<double>(problem.weights[e]);
            total += weight * error * error;
        }
    }
    total = block_sum(total, scratch);
    if (this_thread() == 0) sums[row] = total;
}

// What is left of the targets of a row's ratings: residual += sign q.x or, with `targets`, t - q.x. One block per row:
// 4 k + 12 bytes and 2 k flops per rating. Bound by fetching rows, as error_kernel. Deterministic.
FASTCF_KERNEL(kMostThreads)
void residual_kernel(Problem problem, LongRows long_rows, bool only_long, bool targets, float sign,
                     Global<float> residuals) {
    std::int64_t row = blockIdx.x;
    if (only_long) row = long_rows.rows[row];
    const std::int64_t begin = problem.indptr[row], end = problem.indptr[row + 1];
    if (!only_long && end - begin > long_rows.piece) return;
    const Global<const float> x = problem.factors + row * problem.stride;
    const float offset = row_offset(problem, row);
    for (std::int64_t first = begin; first < end; first += block_threads() / kRatingLanes) {
        const std::int64_t e = first + this_thread() / kRatingLanes;
        const std::int32_t column = e < end ? problem.columns[e] : 0;
        const float product = lanes_product(column_row(problem, column), x, e < end ? problem.k : 0,
                                            problem.by_four && problem.rows_by_four);
        if (e < end && this_thread() % kRatingLanes == 0) {
            float before = 0.0f;
            if (targets)
                before = rating_target(problem, e, column, offset);
            else
                before = residuals[e];
            residuals[e] = before + sign * product;
        }
    }
}

}  // namespace

Plan::Plan(const std::int64_t* indptr, std::int64_t n_rows, std::int64_t nnz, const AlsPrior& prior,
           const float* given_penalties, std::int64_t piece)
    : penalties(n_rows),
      counts(DeviceArray<int>::zeros(2)),
      rows(nnz / piece),
      first_pieces(nnz / piece),
      row_of_piece(2 * nnz / piece + 1),
      parts{counts.data(), rows.data(), first_pieces.data(), row_of_piece.data(), piece} {
    FASTCF_LAUNCH(plan_kernel, blocks_for(n_rows, kThreads), kThreads, 0, indptr, n_rows, prior.reg, prior.reg_exponent,
                  given_penalties, penalties.data(), parts);
    const std::vector<int> found = counts.to_host();
    n_long = found[0];
    n_pieces = found[1];
}

namespace {

// Ratings of a piece: there are at most 2 nnz / piece pieces, whose systems must find room.
std::int64_t piece_size(const Shape& shape, std::int64_t nnz) {
    const double bytes = 4.0 * static_cast<double>(shape.size) * static_cast<double>(shape.ld);
    return std::max(kPiece, static_cast<std::int64_t>(2.0 * static_cast<double>(nnz) * bytes / kScratchBytes));
}

void solve_exactly(const Problem& problem, const Prior& prior, const Shape& shape, const Plan& plan,
                   std::int64_t rows) {
    const std::int64_t bytes = shape.shared_bytes();
    if (bytes + 512 > most_shared_bytes()) {
        solve_large(problem, prior, shape, rows);
        return;
    }
    DeviceArray<float> systems(plan.n_pieces * shape.size * shape.ld);
    FASTCF_LAUNCH(piece_kernel, plan.n_pieces, shape.threads, bytes, problem, shape, plan.parts, systems.data());
    FASTCF_LAUNCH(join_kernel, plan.n_long, shape.threads, bytes, problem, prior, shape, plan.parts, systems.data());
    FASTCF_LAUNCH(exact_kernel, rows, shape.threads, bytes, problem, prior, shape, plan.parts.piece);
}

void update_residuals(const Problem& problem, const Plan& plan, std::int64_t rows, bool targets, float sign,
                      float* residuals) {
    FASTCF_LAUNCH(residual_kernel, plan.n_long, kMostThreads, 0, problem, plan.parts, true, targets, sign, residuals);
    FASTCF_LAUNCH(residual_kernel, rows, kRowThreads, 0, problem, plan.parts, false, targets, sign, residuals);
}

void sum_errors(const Problem& problem, const Plan& plan, std::int64_t rows, double* sums) {
    FASTCF_LAUNCH(error_kernel, plan.n_long, kMostThreads, 0, problem, plan.parts, true, sums);
    FASTCF_LAUNCH(error_kernel, rows, kRowThreads, 0, problem, plan.parts, false, sums);
}

}  // namespace
}  // namespace als

void als_update(const AlsProblem& problem, const AlsPrior& prior, const AlsMethod& method, MatrixView<float> factors,
                VectorView<float> bias, int) {
    check_als(problem, prior, method, factors, bias);
    const CsrView& ratings = problem.ratings;
    const std::int64_t nnz = ratings.nnz();
    if (factors.rows == 0) return;
    const In<std::int64_t> indptr(ratings.indptr, ratings.rows + 1);
    const In<std::int32_t> columns(ratings.indices, nnz);
    const In<float> values(ratings.values, nnz), weights(problem.weights), column_factors(problem.column_factors);
    const In<float> row_offsets(problem.row_offset), column_offsets(problem.column_offset), noise(method.noise);
    const In<float> matrix(prior.matrix), mean(prior.prior_mean), penalties(prior.penalties), spectrum(prior.spectrum);
    const InOut<float> out(factors), out_bias(bias);
    const Out<double> squared_errors(method.squared_errors);
    const InOut<float> residuals(method.residuals);
    const int k = static_cast<int>(factors.cols), d = k + (bias.empty() ? 0 : 1);
    const als::Shape shape(k, d);
    als::Plan plan(indptr, factors.rows, nnz, prior, penalties.data(),
                   method.cg_steps > 0 ? als::kPiece : als::piece_size(shape, nnz));
    als::Problem rows;
    rows.indptr = indptr.data();
    rows.columns = columns.data();
    rows.values = values.data();
    rows.weights = weights.data();
    rows.column_factors = column_factors.data();
    rows.row_offset = row_offsets.data();
    rows.column_offset = column_offsets.data();
    rows.factors = out.data();
    rows.bias = out_bias.data();
    rows.penalties = plan.penalties.data();
    rows.column_stride = problem.column_factors.stride;
    rows.stride = factors.stride;
    rows.k = k;
    rows.d = d;
    rows.offset = problem.offset;
    rows.by_four = in_chunks(column_factors.data(), k, rows.column_stride);
    rows.rows_by_four = in_chunks(out.data(), k, rows.stride);
    DeviceArray<float> right(prior.matrix.rows);
    if (prior.matrix.data != nullptr)
        FASTCF_LAUNCH(als::prior_kernel, blocks_for(d, als::kThreads / kWarp), als::kThreads, 0, matrix.data(),
                      prior.matrix.stride, mean.data(), d, right.data());
    als::Prior known;
    known.matrix = matrix.data();
    known.right = right.data();
    known.noise = noise.data();
    known.stride = prior.matrix.stride;
    known.noise_stride = method.noise.stride;
    known.bias_reg = static_cast<float>(prior.bias_reg);
    known.precision = static_cast<float>(prior.precision);
    known.spectrum = spectrum.data();
    known.unobserved = static_cast<float>(prior.unobserved);
    known.column_share = 1.0f / static_cast<float>(std::max<std::int64_t>(ratings.cols, 1));
    const bool blocks = !method.residuals.empty();
    if (blocks) {  // they are the targets
        als::update_residuals(rows, plan, factors.rows, method.only_errors, method.only_errors ? -1.0f : 1.0f,
                              residuals.data());
        rows.values = residuals.data();
        rows.row_offset = rows.column_offset = nullptr;
        rows.offset = 0.0f;
    }
    if (!method.only_errors && method.cg_steps > 0) als::iterate(rows, known, method.cg_steps, plan, factors.rows);
    if (!method.only_errors && method.cg_steps == 0) als::solve_exactly(rows, known, shape, plan, factors.rows);
    if (!method.squared_errors.empty()) {
        als::Problem measured = rows;
        if (blocks && method.only_errors) measured.k = measured.d = 0;  // residuals are what is left already
        als::sum_errors(measured, plan, factors.rows, squared_errors.data());
    }
    if (blocks && !method.only_errors) als::update_residuals(rows, plan, factors.rows, false, -1.0f, residuals.data());
    out.finish();
    out_bias.finish();
    squared_errors.finish();
    residuals.finish();
}

}  // namespace fastcf
