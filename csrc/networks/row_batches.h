// Whole rows of a sparse matrix in random order, a batch at a time. The host keeps them and plans what the device does.
#pragma once

#include <cmath>
#include <cstdint>
#include <vector>

#include "core/memory.h"
#include "core/view.h"

namespace fastcf {

// Some rows on the device, and the same entries by column.
template <class T>
struct RowBatch {
    std::int64_t rows = 0, n = 0;
    const std::int64_t* indptr = nullptr;          // (rows + 1,)
    const std::int32_t* columns = nullptr;         // (n,)
    const T* inputs = nullptr;                     // (n,), what the network is fed
    const T* rated = nullptr;                      // (n,) or null: what it is fed beside it, for being rated at all
    const T* targets = nullptr;                    // (n,), what it is asked for, or null: nothing
    const T* offsets = nullptr;                    // (n,) or null: what is added to its outputs
    const T* weights = nullptr;                    // (n,) or null: 1
    const std::int32_t* places = nullptr;          // (n,) or null: where an entry's column is among the touched
    VectorView<const std::int32_t> touched;        // columns with entries, ascending; others too: see ask_columns
    const std::int64_t* column_indptr = nullptr;   // (touched.size + 1,)
    const std::int64_t* column_entries = nullptr;  // (n,), places among the entries by row
    const std::int32_t* column_rows = nullptr;     // (n,), their rows within the batch
    const T* decay = nullptr;                      // (touched.size,) or null: see RowBatches::share_decay
    const T* shifts = nullptr;                     // (touched.size,) or null: see RowBatches::ask_columns
    double weight = 0;                             // sum of the weights
    std::int64_t chosen_rows = 0;                  // rows that have a target above 0
};

// Rows to train on, in host memory of the caller's. targets, weights, offsets and dropout may be null.
template <class T>
struct TrainingRows {
    CsrView structure;
    const T* inputs = nullptr;
    const T* targets = nullptr;
    const T* weights = nullptr;
    const T* offsets = nullptr;
    const T* dropout = nullptr;  // (rows,), what share of the inputs of a row's entries is dropped; null: nothing
};

// What an entry of a row of n is fed for being rated at all: the squares of a row's add up to rated_input squared.
template <class T>
T rated_value(double rated_input, std::int64_t n) {
    return static_cast<T>(rated_input / std::sqrt(static_cast<double>(n)));
}

template <class T>
class RowBatches {
  public:
    RowBatches() = default;
    // Copies the rows. What an entry is fed is dropped with the probability of its row, anew in each epoch, and divided
    // by one minus this where it stays; it is asked for all the same. rated_input 0: batches have no `rated`.
    RowBatches(const TrainingRows<T>& rows, std::int64_t batch_size, double rated_input, std::uint64_t seed);

    // Lets batches carry `decay`: every entry of a column adds its share of weight_decay times the number of batches,
    // so that over an epoch each column with entries pays weight_decay once per batch.
    void share_decay(double weight_decay);

    // Lets the touched columns of batches be all columns, or those with entries and a sample of the others, as outputs
    // of a softmax are asked for. n_sampled 0: all. Else so many columns are drawn, with replacement, in proportion to
    // one more than their number of entries, q; a column without entries in the batch that is drawn at least once,
    // which happens with probability p = 1 - (1 - q)^n_sampled, comes in with the shift -log p, others have 0. Then the
    // sum of e^(score + shift) over the touched columns has the expectation of the sum of e^score over all, whatever
    // the batch (Horvitz and Thompson, "A generalization of sampling without replacement from a finite universe", JASA
    // 47, 1952). Batches of rows asked for by number or in their own order have no samples.
    void ask_columns(std::int64_t n_sampled);

    // Lets batches have `places`, as those of a softmax have.
    void place_columns() { places_columns_ = true; }

    std::int64_t n_rows() const { return static_cast<std::int64_t>(indptr_.size()) - 2; }
    std::int64_t n_columns() const { return static_cast<std::int64_t>(place_.size()); }
    std::int64_t count() const { return (n_rows() + batch_size_ - 1) / batch_size_; }
    std::vector<std::int32_t> shuffled(std::uint64_t epoch) const;
    void start(std::uint64_t epoch);
    // The number-th batch of the epoch that was started; its arrays last until the next is asked for.
    RowBatch<T> batch(std::int64_t number) {
        return plan(order_.data() + number * batch_size_, size_of(number), number);
    }
    // Rows in their own order, inputs whole; row n_rows() is one without entries.
    RowBatch<T> consecutive(std::int64_t begin, std::int64_t end);
    // These rows, whose numbers the host can read, inputs whole.
    RowBatch<T> of(VectorView<const std::int32_t> rows) { return plan(rows.data, rows.size, -1); }

  private:
    std::int64_t size_of(std::int64_t number) const;
    // number < 0: of no epoch, inputs whole.
    RowBatch<T> plan(const std::int32_t* rows, std::int64_t n_rows, std::int64_t number);
    void group_by_column(std::int64_t n_rows, const std::int64_t* indptr, const std::int32_t* columns,
                         std::int64_t number, RowBatch<T>& batch);
    // Adds the sample of a batch to its touched columns; returns how many there are then.
    std::int64_t add_sample(std::int64_t number, std::int32_t* touched, std::int64_t n_touched);

    std::int64_t batch_size_ = 0;
    double rated_input_ = 0;
    std::uint64_t seed_ = 0, epoch_ = 0;
    std::vector<std::int64_t> indptr_;  // of the rows and of an empty one
    std::vector<std::int32_t> columns_;
    std::vector<T> inputs_, targets_, weights_, offsets_, dropout_, decay_;
    std::vector<std::int32_t> order_, place_;  // place_: of each column in the batch; -1: none
    bool asks_all_ = false, places_columns_ = false;
    std::int64_t n_sampled_ = 0;
    std::vector<double> drawn_below_;  // of each column: sum of the probabilities up to it, where columns are sampled
    std::vector<T> shifts_;

    UploadBlock block_;
    std::int64_t row_capacity_ = 0, entry_capacity_ = 0;
    UploadBlock::Part<std::int64_t> indptr_part_, column_indptr_part_, entries_part_;
    UploadBlock::Part<std::int32_t> columns_part_, touched_part_, rows_part_, places_part_;
    UploadBlock::Part<T> inputs_part_, rated_part_, targets_part_, weights_part_, offsets_part_, decay_part_,
        shifts_part_;
};

}  // namespace fastcf
