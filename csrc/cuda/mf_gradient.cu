#include <algorithm>

#include "cuda/mf_gradient.h"
#include "cuda/staging.h"
#include "ops/mf_gradient.h"

namespace fastcf {
namespace {

template <class T>
void repitch(const T* from, std::int64_t from_stride, std::int64_t cols, T* to, std::int64_t to_stride,
             std::int64_t to_cols, std::int64_t rows) {
    const std::int64_t n = rows * to_cols;
    FASTCF_LAUNCH(repitch_kernel<T>, blocks_for(n, kThreads), kThreads, 0, from, from_stride, cols, to, to_stride,
                  to_cols, n);
}

template <class T>
std::int64_t aligned_cols(std::int64_t k) {
    return blocks_for(k, kChunk<T>) * kChunk<T>;
}

// Factors as kernels read them, every row a number of whole chunks.
template <class T>
struct ChunkedIn {
    ChunkedIn(const T* factors, std::int64_t rows, std::int64_t k, std::int64_t given_stride)
        : given(factors, extent(rows, k, given_stride)), data(given.data()), stride(given_stride) {
        if (in_chunks(data, k, stride)) return;
        stride = aligned_cols<T>(k);
        padded = DeviceArray<T>(rows * stride);
        repitch<T>(given.data(), given_stride, k, padded.data(), stride, stride, rows);
        data = padded.data();
    }
    In<T> given;
    DeviceArray<T> padded;
    const T* data;
    std::int64_t stride;
};

// And as they write them.
template <class T>
struct ChunkedOut {
    ChunkedOut(T* factors, std::int64_t n_rows, std::int64_t n_cols, std::int64_t given_stride)
        : wanted(factors, extent(n_rows, n_cols, given_stride)),
          data(wanted.data()),
          rows(n_rows),
          cols(n_cols),
          wanted_stride(given_stride),
          stride(given_stride) {
        if (in_chunks(data, cols, stride)) return;
        stride = aligned_cols<T>(cols);
        padded = DeviceArray<T>(rows * stride);
        data = padded.data();
    }
    void finish() const {
        if (!padded.empty()) repitch<T>(padded.data(), stride, cols, wanted.data(), wanted_stride, cols, rows);
        wanted.finish();
    }
    Out<T> wanted;
    DeviceArray<T> padded;
    T* data;
    std::int64_t rows, cols, wanted_stride, stride;
};

// What both ops read.
template <class T>
struct Model {
    Model(const MfRatings<T>& ratings, const MfObjective<T>& objective, const MfParameters<const T>& at)
        : indptr(ratings.indptr, ratings.n_users + 1),
          items(ratings.items, ratings.nnz()),
          user_factors(at.user_factors, ratings.n_users, at.k, at.stride),
          item_factors(at.item_factors, ratings.n_items, at.k, at.stride),
          user_bias(at.user_bias, ratings.n_users),
          item_bias(at.item_bias, ratings.n_items),
          item_offset(objective.item_offset, ratings.n_items) {
        users = side_of(indptr, items, user_factors, item_factors, user_bias, ratings.n_users, ratings.nnz(), at.k);
        target.item_bias = item_bias.data();
        target.item_offset = item_offset.data();
        target.global_offset = objective.global_offset;
        target.logistic = objective.loss == Loss::logistic;
    }

    static Side<T> side_of(const In<std::int64_t>& indptr, const In<std::int32_t>& indices, const ChunkedIn<T>& own,
                           const ChunkedIn<T>& other, const In<T>& bias, std::int64_t rows, std::int64_t entries,
                           std::int64_t k) {
        Side<T> side{};
        side.indptr = indptr.data();
        side.indices = indices.data();
        side.rows = rows;
        side.entries = entries;
        side.own = own.data;
        side.other = other.data;
        side.stride = own.stride;
        side.chunks = static_cast<int>(aligned_cols<T>(k) / kChunk<T>);
        side.own_bias = bias.data();
        return side;
    }

    In<std::int64_t> indptr;
    In<std::int32_t> items;
    ChunkedIn<T> user_factors, item_factors;
    In<T> user_bias, item_bias, item_offset;
    Side<T> users;
    Target<T> target{};
};

// One side's penalties and gradient, and what the later parts of its long rows leave.
template <class T>
struct SideOutput {
    SideOutput(Side<T>& side, const T* reg_, const T* bias_reg_, T* factors, T* bias, std::int64_t k,
               std::int64_t stride)
        : reg(reg_, side.rows),
          bias_reg(bias_reg_, side.rows),
          gradient(factors, side.rows, k, stride),
          bias_gradient(bias, side.rows) {
        side.reg = reg.data();
        side.bias_reg = bias_reg.data();
        side.gradient = gradient.data;
        side.gradient_stride = gradient.stride;
        side.bias_gradient = bias_gradient.data();
        slots = later_slots(side.entries);
        if (slots == 0) return;
        later_gradient = DeviceArray<T>((slots + 1) * side.chunks * kChunk<T>);
        later_error_sums = DeviceArray<double>(slots + 1);
        side.later_gradient = later_gradient.data();
        side.later_error_sums = later_error_sums.data();
    }
    void finish(const Side<T>& side) const {
        FASTCF_LAUNCH(join_kernel<T>, slots, kThreads, 0, side);
        gradient.finish();
        bias_gradient.finish();
    }
    In<T> reg, bias_reg;
    ChunkedOut<T> gradient;
    Out<T> bias_gradient;
    std::int64_t slots;
    DeviceArray<T> later_gradient;
    DeviceArray<double> later_error_sums;
};

template <class T>
std::int64_t blocks_of(const Side<T>& side) {
    return blocks_for(side.rows + later_slots(side.entries), kWarpsPerBlock);
}

template <class T>
void launch_forward(const Side<T>& side, const Target<T>& target, T* errors, double* losses, double* penalties) {
    const auto launch = [&](auto kernel) {
        FASTCF_LAUNCH(kernel, blocks_of(side), kThreads, 0, side, target, errors, losses, penalties);
    };
    if (side.chunks <= 8)
        launch(forward_kernel<T, 8, 1, 4>);
    else if (side.chunks <= 16)
        launch(forward_kernel<T, 16, 1, 4>);
    else if (side.chunks <= 32)
        launch(forward_kernel<T, 32, 1, 4>);
    else if (side.chunks <= 64)
        launch(forward_kernel<T, 32, 2, 2>);
    else
        launch(forward_kernel<T, 32, 4, 1>);
}

std::int64_t segments(int chunks) {
    return std::max<std::int64_t>(1, blocks_for(chunks, kWarp));
}

template <class T>
void launch_accumulate(const Side<T>& side, const T* errors, const std::int64_t* positions, double* penalties) {
    const auto launch = [&](auto kernel) {
        FASTCF_LAUNCH(kernel, Grid(blocks_of(side), segments(side.chunks)), kThreads, 0, side, errors, positions,
                      penalties);
    };
    if (side.chunks <= 8)
        launch(accumulate_kernel<T, 8>);
    else if (side.chunks <= 16)
        launch(accumulate_kernel<T, 16>);
    else
        launch(accumulate_kernel<T, 32>);
}

}  // namespace

template <class T>
void mf_gradient(const MfRatings<T>& ratings, const MfObjective<T>& objective, const MfParameters<const T>& at,
                 const MfParameters<T>& gradient, T* errors, double* cost, int) {
    const std::int64_t nnz = ratings.nnz();
    Model<T> model(ratings, objective, at);
    const In<T> values(ratings.values, nnz), weights(ratings.weights, nnz);
    model.target.values = values.data();
    model.target.weights = weights.data();
    const In<std::int64_t> item_indptr(ratings.item_indptr, ratings.n_items + 1), positions(ratings.item_entries, nnz);
    const In<std::int32_t> raters(ratings.users, nnz);
    const Out<T> staged_errors(errors, nnz);
    const Out<double> sums(cost, 2);
    Side<T>& users = model.users;
    Side<T> items = Model<T>::side_of(item_indptr, raters, model.item_factors, model.user_factors, model.item_bias,
                                      ratings.n_items, nnz, at.k);
    const SideOutput<T> user_output(users, objective.user_reg, objective.user_bias_reg, gradient.user_factors,
                                    gradient.user_bias, gradient.k, gradient.stride);
    const SideOutput<T> item_output(items, objective.item_reg, objective.item_bias_reg, gradient.item_factors,
                                    gradient.item_bias, gradient.k, gradient.stride);

    const bool narrow = users.chunks <= kMostChunks;
    const std::int64_t user_blocks = blocks_of(users) * (narrow ? 1 : segments(users.chunks));
    const std::int64_t item_blocks = blocks_of(items) * segments(items.chunks);
    const std::int64_t loss_blocks = narrow ? user_blocks : blocks_for(nnz, kPairsPerBlock);
    DeviceArray<double> losses(loss_blocks), penalties(user_blocks + item_blocks);
    if (narrow) {
        launch_forward<T>(users, model.target, staged_errors.data(), losses.data(), penalties.data());
    } else {
        FASTCF_LAUNCH(score_kernel<T>, loss_blocks, kThreads, 0, users, model.target, staged_errors.data(),
                      losses.data());
        launch_accumulate<T>(users, staged_errors.data(), nullptr, penalties.data());
    }
    launch_accumulate<T>(items, staged_errors.data(), positions.data(), penalties.data() + user_blocks);
    const std::int64_t penalty_blocks = user_blocks + item_blocks;
    FASTCF_LAUNCH(sum_kernel, 2, penalty_blocks > 4 * kThreads ? kSumThreads : kThreads, 0, losses.data(), loss_blocks,
                  penalties.data(), penalty_blocks, sums.data());
    user_output.finish(users);
    item_output.finish(items);
    staged_errors.finish();
    sums.finish();
}

template <class T>
void mf_predict(const MfRatings<T>& ratings, const MfObjective<T>& objective, const MfParameters<const T>& at, T* out,
                int) {
    const std::int64_t nnz = ratings.nnz();
    const Model<T> model(ratings, objective, at);
    const Out<T> staged(out, nnz);
    FASTCF_LAUNCH(score_kernel<T>, blocks_for(nnz, kPairsPerBlock), kThreads, 0, model.users, model.target,
                  staged.data(), static_cast<double*>(nullptr));
    staged.finish();
}

FASTCF_INSTANTIATE_MF_GRADIENT(float)
FASTCF_INSTANTIATE_MF_GRADIENT(double)

}  // namespace fastcf
