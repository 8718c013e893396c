#include "networks/rated_centres.h"

#include <vector>

#include "networks/row_batches.h"

namespace fastcf {
namespace {

// What an entry adds of its row's effects to the centre of its column.
template <class T>
std::vector<T> shares_of(const CsrView& rows) {
    const auto at = [](std::int64_t i) { return static_cast<std::size_t>(i); };
    std::vector<std::int64_t> counts(at(rows.cols));
    for (std::int64_t e = 0; e < rows.nnz(); ++e) ++counts[at(rows.indices[e])];
    std::vector<T> shares(at(rows.nnz()));
    for (std::int64_t e = 0; e < rows.nnz(); ++e) shares[at(e)] = rated_value<T>(1.0, counts[at(rows.indices[e])]);
    return shares;
}

}  // namespace

template <class T>
RatedCentres<T>::RatedCentres(const CsrView& rows, std::int64_t width, OptimizerKind kind)
    : entries_(rows, shares_of<T>(rows).data(), {}),
      effects_(rows.rows, width, kind),
      centres_(DeviceArray<T>::zeros(rows.cols * width)),
      sums_(DeviceArray<T>::zeros(rows.cols * width)),
      ones_(std::vector<T>(static_cast<std::size_t>(rows.cols), T(1))) {}

template <class T>
void RatedCentres<T>::upload(const T* effects, int n_threads) {
    stale_ = true;
    if (effects == nullptr)
        effects_.values.clear();
    else
        effects_.values.upload(effects);
    effects_.forget();
    sums_.clear();
    refresh(n_threads);
}

template <class T>
void RatedCentres<T>::refresh(int n_threads) {
    const std::int64_t k = effects_.cols;
    spmm<T>({entries_.item_indptr.data(), entries_.users.data(), entries_.item_entries.data(), entries_.values.data(),
             entries_.n_items, entries_.n},
            effects_.view(), {centres_.data(), entries_.n_items, k, k}, {}, n_threads);
    stale_ = false;
}

template <class T>
void RatedCentres<T>::add_to(MatrixView<T> table, VectorView<const std::int32_t> columns, const std::int64_t* places,
                             int n_threads) {
    if (stale_) refresh(n_threads);
    const std::int64_t k = effects_.cols;
    spmm<T>({places, columns.data, nullptr, ones_.data(), columns.size, columns.size},
            {centres_.data(), entries_.n_items, k, k}, table, {}, n_threads, true);
}

template <class T>
void RatedCentres<T>::collect(VectorView<const std::int32_t> columns, const T* gradient, int n_threads) {
    const std::int64_t k = effects_.cols;
    Optimizer adding;  // p <- p + g
    adding.kind = OptimizerKind::gradient_descent;
    const OptimizerRows<T> sums{sums_.data(), nullptr, nullptr, nullptr, entries_.n_items, k, k};
    optimizer_step_rows<T>(adding, -1.0, 1, sums, columns, gradient, k, n_threads);
}

template <class T>
const DeviceArray<T>& RatedCentres<T>::gradient(int n_threads) {
    const std::int64_t k = effects_.cols;
    gradient_.reserve(entries_.n_users * k);
    spmm<T>(
        {entries_.indptr.data(), entries_.items.data(), nullptr, entries_.values.data(), entries_.n_users, entries_.n},
        {sums_.data(), entries_.n_items, k, k}, {gradient_.data(), entries_.n_users, k, k}, {}, n_threads);
    return gradient_;
}

template <class T>
void RatedCentres<T>::step(Optimizer optimizer, double learning_rate, std::int64_t n_summed, std::int64_t number,
                           int n_threads) {
    optimizer.weight_decay *= kEffectPenalty * static_cast<double>(n_summed);
    const DeviceArray<T>& slopes = gradient(n_threads);
    stale_ = true;
    optimizer_step<T>(optimizer, kEffectRate * learning_rate, number, effects_.rows * effects_.cols,
                      effects_.values.data(), slopes.data(), effects_.first.data(), effects_.second.data(), n_threads);
    sums_.clear();
    refresh(n_threads);
}

template <class T>
void RatedCentres<T>::restore_best(int n_threads) {
    stale_ = true;
    effects_.restore_best(n_threads);
    sums_.clear();
    refresh(n_threads);
}

template <class T>
void RatedCentres<T>::list_state(StateFields& fields, const std::string& name) {
    effects_.list_state(fields, name);
    stale_ = true;  // a caller may write new values through the pointers
}

template class RatedCentres<float>;
template class RatedCentres<double>;

}  // namespace fastcf
