#include "networks/row_batches.h"

#include <algorithm>
#include <numeric>

#include "core/rng.h"
#include "math/activation.h"

namespace fastcf {
namespace {

constexpr std::uint64_t kRowOrder = 0x726f7773, kInputDropout = 0x696e7075,
                        kColumns = 0x636f6c73;  // streams of random numbers

std::size_t at(std::int64_t i) {
    return static_cast<std::size_t>(i);
}

}  // namespace

template <class T>
RowBatches<T>::RowBatches(const TrainingRows<T>& rows, std::int64_t batch_size, double rated_input, std::uint64_t seed)
    : batch_size_(batch_size),
      rated_input_(rated_input),
      seed_(seed),
      indptr_(rows.structure.indptr, rows.structure.indptr + rows.structure.rows + 1),
      columns_(rows.structure.indices, rows.structure.indices + rows.structure.nnz()),
      inputs_(rows.inputs, rows.inputs + rows.structure.nnz()),
      place_(at(rows.structure.cols), -1) {
    indptr_.push_back(rows.structure.nnz());
    if (rows.targets != nullptr) targets_.assign(rows.targets, rows.targets + rows.structure.nnz());
    if (rows.weights != nullptr) weights_.assign(rows.weights, rows.weights + rows.structure.nnz());
    if (rows.offsets != nullptr) offsets_.assign(rows.offsets, rows.offsets + rows.structure.nnz());
    if (rows.dropout != nullptr) dropout_.assign(rows.dropout, rows.dropout + rows.structure.rows);
}

template <class T>
void RowBatches<T>::share_decay(double weight_decay) {
    std::vector<double> counts(place_.size());
    for (const std::int32_t column : columns_) ++counts[at(column)];
    const double whole = weight_decay * static_cast<double>(count());
    decay_.assign(counts.size(), T(0));
    for (std::size_t c = 0; c < counts.size(); ++c)
        if (counts[c] > 0) decay_[c] = static_cast<T>(whole / counts[c]);
}

template <class T>
void RowBatches<T>::ask_columns(std::int64_t n_sampled) {
    places_columns_ = true;
    asks_all_ = n_sampled == 0;
    n_sampled_ = n_sampled;
    if (asks_all_) return;
    std::vector<double> counts(place_.size(), 1.0);
    for (const std::int32_t column : columns_) ++counts[at(column)];
    const double total = static_cast<double>(counts.size() + columns_.size());
    double below = 0;
    drawn_below_.clear();
    shifts_.clear();
    for (const double count : counts) {
        below += count;
        drawn_below_.push_back(below / total);
        const double missed = static_cast<double>(n_sampled) * std::log1p(-count / total);  // log of (1 - q)^n
        shifts_.push_back(static_cast<T>(-std::log(-std::expm1(missed))));
    }
}

template <class T>
std::int64_t RowBatches<T>::add_sample(std::int64_t number, std::int32_t* touched, std::int64_t n_touched) {
    const Rng rng(mix64(seed_) + epoch_, kColumns);
    for (std::int64_t i = 0; i < n_sampled_; ++i) {
        const auto word = rng.at(static_cast<std::uint64_t>(number * n_sampled_ + i));
        const double u = static_cast<double>(word >> 11) * 0x1.0p-53;
        const auto found = std::upper_bound(drawn_below_.begin(), drawn_below_.end() - 1, u) - drawn_below_.begin();
        if (std::int32_t& place = place_[at(found)]; place < 0) {
            place = 0;
            touched[n_touched++] = static_cast<std::int32_t>(found);
        }
    }
    return n_touched;
}

template <class T>
std::vector<std::int32_t> RowBatches<T>::shuffled(std::uint64_t epoch) const {
    std::vector<std::int32_t> order(at(n_rows()));
    std::iota(order.begin(), order.end(), 0);
    shuffle(order.data(), n_rows(), Rng(mix64(seed_) + epoch, kRowOrder));
    return order;
}

template <class T>
void RowBatches<T>::start(std::uint64_t epoch) {
    epoch_ = epoch;
    order_ = shuffled(epoch);
}

template <class T>
std::int64_t RowBatches<T>::size_of(std::int64_t number) const {
    return std::min(batch_size_, n_rows() - number * batch_size_);
}

template <class T>
RowBatch<T> RowBatches<T>::consecutive(std::int64_t begin, std::int64_t end) {
    std::vector<std::int32_t> rows(at(end - begin));
    std::iota(rows.begin(), rows.end(), static_cast<std::int32_t>(begin));
    return plan(rows.data(), end - begin, -1);
}

template <class T>
RowBatch<T> RowBatches<T>::plan(const std::int32_t* rows, std::int64_t n_rows, std::int64_t number) {
    std::int64_t n = 0;
    for (std::int64_t r = 0; r < n_rows; ++r) n += indptr_[at(rows[r]) + 1] - indptr_[at(rows[r])];
    check(n <= INT32_MAX, "RowBatches: a batch must have fewer than 2^31 entries; got ", n);
    if (n_rows > row_capacity_ || n > entry_capacity_) {
        row_capacity_ = std::max(n_rows, row_capacity_);
        entry_capacity_ = std::max(n + n / 4, entry_capacity_);  // batches differ: not a new block for every one
        const std::int64_t touched = asks_all_ ? n_columns() : std::min(entry_capacity_ + n_sampled_, n_columns());
        block_ = UploadBlock();
        block_.add(indptr_part_, row_capacity_ + 1);
        block_.add(column_indptr_part_, touched + 1);
        block_.add(entries_part_, entry_capacity_);
        block_.add(columns_part_, entry_capacity_);
        block_.add(touched_part_, touched);
        block_.add(rows_part_, entry_capacity_);
        if (places_columns_) block_.add(places_part_, entry_capacity_);
        if (n_sampled_ > 0) block_.add(shifts_part_, touched);
        block_.add(inputs_part_, entry_capacity_);
        if (rated_input_ > 0) block_.add(rated_part_, entry_capacity_);
        if (!targets_.empty()) block_.add(targets_part_, entry_capacity_);
        if (!weights_.empty()) block_.add(weights_part_, entry_capacity_);
        if (!offsets_.empty()) block_.add(offsets_part_, entry_capacity_);
        if (!decay_.empty()) block_.add(decay_part_, touched);
        block_.allocate();
    }
    std::int64_t* indptr = block_.host(indptr_part_);
    std::int32_t* columns = block_.host(columns_part_);
    T* inputs = block_.host(inputs_part_);
    T* rated = rated_input_ > 0 ? block_.host(rated_part_) : nullptr;
    T* targets = targets_.empty() ? nullptr : block_.host(targets_part_);
    T* weights = weights_.empty() ? nullptr : block_.host(weights_part_);
    T* offsets = offsets_.empty() ? nullptr : block_.host(offsets_part_);
    const std::uint64_t key = random_key(mix64(seed_) + epoch_, kInputDropout);
    RowBatch<T> batch;
    batch.rows = n_rows;
    batch.n = n;
    batch.weight = static_cast<double>(n);
    std::int64_t e = 0;
    for (std::int64_t r = 0; r < n_rows; ++r) {
        const std::int64_t begin = indptr_[at(rows[r])], end = indptr_[at(rows[r]) + 1], first = e;
        indptr[r] = e;
        std::copy(columns_.begin() + begin, columns_.begin() + end, columns + first);
        std::copy(inputs_.begin() + begin, inputs_.begin() + end, inputs + first);
        if (targets != nullptr) std::copy(targets_.begin() + begin, targets_.begin() + end, targets + first);
        if (weights != nullptr) std::copy(weights_.begin() + begin, weights_.begin() + end, weights + first);
        if (offsets != nullptr) std::copy(offsets_.begin() + begin, offsets_.begin() + end, offsets + first);
        e += end - begin;
        if (rated != nullptr) std::fill(rated + first, rated + e, rated_value<T>(rated_input_, end - begin));
        for (std::int64_t j = first; targets != nullptr && j < e; ++j)
            if (targets[j] > 0) {
                ++batch.chosen_rows;
                break;
            }
        const double dropped = number < 0 || dropout_.empty() ? 0 : static_cast<double>(dropout_[at(rows[r])]);
        if (dropped == 0) continue;
        const T scale = static_cast<T>(1 / (1 - dropped));
        for (std::int64_t j = first; j < e; ++j) {
            const bool keep = dropout_keeps(dropped, key, static_cast<std::uint64_t>(begin + j - first));
            inputs[j] = keep ? scale * inputs[j] : T(0);
            if (rated != nullptr) rated[j] = keep ? scale * rated[j] : T(0);
        }
    }
    indptr[n_rows] = n;
    if (weights != nullptr) {
        batch.weight = 0;
        for (std::int64_t j = 0; j < n; ++j) batch.weight += static_cast<double>(weights[j]);
    }
    group_by_column(n_rows, indptr, columns, number, batch);
    if (!decay_.empty()) {
        const std::int32_t* touched = block_.host(touched_part_);
        const std::int64_t* starts = block_.host(column_indptr_part_);
        T* decay = block_.host(decay_part_);
        for (std::int64_t i = 0; i < batch.touched.size; ++i)
            decay[i] = decay_[at(touched[i])] * static_cast<T>(starts[i + 1] - starts[i]);
        batch.decay = block_.device(decay_part_);
    }
    block_.send();
    batch.indptr = block_.device(indptr_part_);
    batch.columns = block_.device(columns_part_);
    batch.inputs = block_.device(inputs_part_);
    batch.rated = rated == nullptr ? nullptr : block_.device(rated_part_);
    batch.targets = targets == nullptr ? nullptr : block_.device(targets_part_);
    batch.weights = weights == nullptr ? nullptr : block_.device(weights_part_);
    batch.offsets = offsets == nullptr ? nullptr : block_.device(offsets_part_);
    batch.touched.data = block_.device(touched_part_);
    batch.column_indptr = block_.device(column_indptr_part_);
    batch.column_entries = block_.device(entries_part_);
    batch.column_rows = block_.device(rows_part_);
    if (places_columns_) batch.places = block_.device(places_part_);
    if (n_sampled_ > 0) batch.shifts = block_.device(shifts_part_);
    return batch;
}

template <class T>
void RowBatches<T>::group_by_column(std::int64_t n_rows, const std::int64_t* indptr, const std::int32_t* columns,
                                    std::int64_t number, RowBatch<T>& batch) {
    std::int32_t* touched = block_.host(touched_part_);
    std::int64_t *starts = block_.host(column_indptr_part_), *entries = block_.host(entries_part_);
    std::int32_t* rows = block_.host(rows_part_);
    const std::int64_t n = batch.n;
    std::int64_t n_touched = 0;
    for (std::int64_t e = 0; e < n; ++e)
        if (std::int32_t& count = place_[at(columns[e])]; ++count == 0) {
            touched[n_touched++] = columns[e];
            count = 1;
        }
    if (n_sampled_ > 0 && number >= 0) n_touched = add_sample(number, touched, n_touched);
    if (asks_all_)
        for (std::int32_t& place : place_) place = std::max(place, 0);
    // Sorting pays where few are touched; else a walk over all columns does.
    if (!asks_all_ && n_touched * 16 < n_columns()) {
        std::sort(touched, touched + n_touched);
    } else {
        n_touched = 0;
        for (std::int64_t c = 0; c < n_columns(); ++c)
            if (place_[at(c)] >= 0) touched[n_touched++] = static_cast<std::int32_t>(c);
    }
    starts[0] = 0;
    for (std::int64_t i = 0; i < n_touched; ++i) {
        std::int32_t& place = place_[at(touched[i])];
        starts[i + 1] = starts[i] + place;
        place = static_cast<std::int32_t>(starts[i]);  // from a count to where the next entry goes
    }
    for (std::int64_t r = 0; r < n_rows; ++r)
        for (std::int64_t e = indptr[r]; e < indptr[r + 1]; ++e) {
            const std::int32_t place = place_[at(columns[e])]++;
            entries[place] = e;
            rows[place] = static_cast<std::int32_t>(r);
        }
    if (places_columns_) {
        std::int32_t* places = block_.host(places_part_);
        for (std::int64_t i = 0; i < n_touched; ++i)
            for (std::int64_t j = starts[i]; j < starts[i + 1]; ++j) places[entries[j]] = static_cast<std::int32_t>(i);
    }
    if (n_sampled_ > 0) {
        T* shifts = block_.host(shifts_part_);
        for (std::int64_t i = 0; i < n_touched; ++i)
            shifts[i] = starts[i + 1] > starts[i] ? T(0) : shifts_[at(touched[i])];
    }
    for (std::int64_t i = 0; i < n_touched; ++i) place_[at(touched[i])] = -1;
    batch.touched.size = n_touched;
}

template class RowBatches<float>;
template class RowBatches<double>;

}  // namespace fastcf
