#include "ingest/csr.h"

#include <string>

#include "bind/gil.h"
#include "bind/ingest/ids.h"
#include "bind/ingest/register.h"

namespace fastcf::bind {
namespace {

struct IndexForm {
    static constexpr auto name = py::detail::const_name("IdIndex | None");
};

Duplicates parse_duplicates(const std::string& name) {
    if (name == "error") return Duplicates::error;
    if (name == "last") return Duplicates::last;
    if (name == "latest") return Duplicates::latest;
    if (name == "max") return Duplicates::max;
    if (name == "mean") return Duplicates::mean;
    check(name == "sum", "coo_to_csr: duplicates must be 'error', 'last', 'latest', 'max', 'mean' or 'sum'; got '",
          name, "'");
    return Duplicates::sum;
}

template <class T>
py::object allocate(std::int64_t n, T*& data) {
    py::array_t<T> array(n);
    data = array.mutable_data();
    return array;
}

// Returns (indptr, indices, values, timestamps or None, weights or None, kept, first, second); see CsrSummary. With
// `consume`, the last three columns may be overwritten, and returned, which spares memory.
py::tuple coo_to_csr_py(const Array<std::int32_t>& users, const Array<Any>& items, const Formed<IndexForm>& item_index,
                        const Array<float>& values, const ArrayOrNone<std::int64_t>& timestamps,
                        const ArrayOrNone<float>& weights, std::int64_t n_users, std::int64_t n_items,
                        const std::string& duplicates, int n_threads, bool consume) {
    constexpr const char* kCaller = "coo_to_csr";
    const auto user_codes = vector_in<std::int32_t>(users, kCaller, "users");
    const auto stored = vector_in<float>(values, kCaller, "values");
    const auto times = optional_vector_in<std::int64_t>(timestamps, kCaller, "timestamps");
    const auto weighting = optional_vector_in<float>(weights, kCaller, "weights");
    const Duplicates handling = parse_duplicates(duplicates);
    check(n_users >= 0 && n_users <= kMaxDistinctIds, kCaller, ": n_users must lie in [0, 2^31 - 2]; got ", n_users);
    check(n_items >= 0 && n_items <= kMaxDistinctIds, kCaller, ": n_items must lie in [0, 2^31 - 2]; got ", n_items);
    Coo coo;
    coo.n = stored.size;
    coo.n_users = n_users;
    coo.n_items = n_items;
    coo.users = user_codes.data;
    coo.values = stored.data;
    coo.timestamps = timestamps.is_none() ? nullptr : times.data;
    coo.weights = weights.is_none() ? nullptr : weighting.data;
    std::int64_t n_item_entries = 0;
    if (item_index.is_none()) {
        const auto codes = vector_in<std::int32_t>(items, kCaller, "items");
        coo.items.codes = codes.data;
        n_item_entries = codes.size;
    } else {
        coo.items.index = item_index.cast<const IdIndex*>();
        coo.items.ids = ids_in(items, kCaller, "items");
        n_item_entries = coo.items.ids.size;
    }
    const auto check_size = [&](std::int64_t size, const char* name) {
        check(size == coo.n, kCaller, ": ", name, " must have as many entries as values (", coo.n, "); got ", size);
    };
    check_size(user_codes.size, "users");
    check_size(n_item_entries, "items");
    if (coo.timestamps != nullptr) check_size(times.size, "timestamps");
    check(coo.timestamps != nullptr || handling != Duplicates::latest, kCaller, ": 'latest' needs timestamps");
    if (coo.weights != nullptr) check_size(weighting.size, "weights");

    CsrArrays out;
    const py::object indptr = allocate(n_users + 1, out.indptr);
    const py::object indices = allocate(coo.n, out.indices);
    py::object kept_values = values;
    py::object kept_times = timestamps;
    py::object kept_weights = weights;
    bool sorted = false;
    {
        const ReleasedGil release;
        sorted = is_sorted_by_user(coo, n_threads);
    }
    if (sorted && consume) {
        out.values = vector_out<float>(values, kCaller, "values").data;
        if (coo.timestamps != nullptr)
            out.timestamps = vector_out<std::int64_t>(timestamps, kCaller, "timestamps").data;
        if (coo.weights != nullptr) out.weights = vector_out<float>(weights, kCaller, "weights").data;
    } else {
        kept_values = allocate(coo.n, out.values);
        if (coo.timestamps != nullptr) kept_times = allocate(coo.n, out.timestamps);
        if (coo.weights != nullptr) kept_weights = allocate(coo.n, out.weights);
    }
    CsrSummary summary;
    {
        const ReleasedGil release;
        summary = coo_to_csr(coo, sorted, handling, n_threads, out);
    }
    return py::make_tuple(indptr, indices, kept_values, kept_times, kept_weights, summary.nnz, summary.duplicate_first,
                          summary.duplicate_second);
}

// Returns (indptr, row indices, values).
Tuple<py::array_t<std::int64_t>, py::array_t<std::int32_t>, py::array_t<float>> csr_to_csc_py(
    const Array<std::int64_t>& indptr, const Array<std::int32_t>& indices, const Array<float>& values,
    std::int64_t n_columns, int n_threads) {
    const CsrView csr = csr_in(indptr, indices, values, n_columns, "csr_to_csc");
    std::int64_t* offsets = nullptr;
    std::int32_t* rows = nullptr;
    float* by_column = nullptr;
    const py::object out_indptr = allocate(n_columns + 1, offsets);
    const py::object out_rows = allocate(csr.nnz(), rows);
    const py::object out_values = allocate(csr.nnz(), by_column);
    {
        const ReleasedGil release;
        csr_to_csc(csr, n_threads, offsets, rows, by_column, nullptr);
    }
    return py::make_tuple(out_indptr, out_rows, out_values);
}

Array<std::int64_t> csc_entries(const Array<std::int64_t>& indptr, const Array<std::int32_t>& indices,
                                std::int64_t n_columns, int n_threads) {
    const CsrView csr = csr_in(indptr, indices, py::none(), n_columns, "csc_entries");
    std::int64_t* offsets = nullptr;
    std::int64_t* entries = nullptr;
    const py::object out_indptr = allocate(n_columns + 1, offsets);
    const py::object out_entries = allocate(csr.nnz(), entries);
    {
        const ReleasedGil release;
        csr_to_csc(csr, n_threads, offsets, nullptr, nullptr, entries);
    }
    return out_entries;
}

// Returns (indptr, subset of each array).
Tuple<py::array_t<std::int64_t>, py::typing::List<Array<Any>>> csr_subset(const Array<std::int64_t>& indptr,
                                                                          const Array<bool>& mask,
                                                                          const py::typing::List<Array<Any>>& arrays,
                                                                          int n_threads) {
    constexpr const char* kCaller = "csr_subset";
    const auto offsets = vector_in<std::int64_t>(indptr, kCaller, "indptr");
    const auto selected = vector_in<bool>(mask, kCaller, "mask");
    check(offsets.size >= 1, kCaller, ": indptr must have at least one entry; got 0");
    const CsrView csr{offsets.data, nullptr, nullptr, offsets.size - 1, 0};
    check_indptr(csr, selected.size, kCaller);
    const auto* chosen = reinterpret_cast<const std::uint8_t*>(selected.data);
    std::int64_t* subset = nullptr;
    const py::object out_indptr = allocate(offsets.size, subset);
    {
        const ReleasedGil release;
        csr_subset_indptr(csr, chosen, n_threads, subset);
    }
    py::list results;
    for (const py::handle& handle : arrays) {
        const auto array = py::array::ensure(handle);
        const auto size = static_cast<std::int64_t>(array.itemsize());
        check(array.ndim() == 1 && array.shape(0) == selected.size, kCaller, ": arrays must have ", selected.size,
              " entries");
        check((array.flags() & py::array::c_style) != 0 && (size == 4 || size == 8), kCaller,
              ": arrays must be C-contiguous with entries of 4 or 8 bytes");
        py::array result(array.dtype(), py::array::ShapeContainer{subset[csr.rows]});
        const void* from = array.data();
        void* to = result.mutable_data();
        {
            const ReleasedGil release;
            csr_subset_copy(csr, chosen, subset, n_threads, from, to, size);
        }
        results.append(result);
    }
    return py::make_tuple(out_indptr, results);
}

std::int64_t first_invalid_py(const Array<float>& values, bool non_negative, int n_threads) {
    const auto view = vector_in<float>(values, "first_invalid", "values");
    const ReleasedGil release;
    return first_invalid(view, non_negative, n_threads);
}

void check_ratings(const Array<std::int64_t>& indptr, const Array<std::int32_t>& indices,
                   const ArrayOrNone<float>& values, std::int64_t n_columns, const std::string& caller) {
    const CsrView csr = csr_in(indptr, indices, values, n_columns, caller.c_str());
    const ReleasedGil release;
    check_ascending(csr, caller.c_str());
}

}  // namespace

void register_csr(py::module_& module) {
    using py::arg;
    module.def("coo_to_csr", &coo_to_csr_py, arg("users"), arg("items"), arg("item_index"), arg("values"),
               arg("timestamps"), arg("weights"), arg("n_users"), arg("n_items"), arg("duplicates"),
               arg("n_threads") = 0, arg("consume") = false);
    module.def("csr_to_csc", &csr_to_csc_py, arg("indptr"), arg("indices"), arg("values"), arg("n_columns"),
               arg("n_threads") = 0);
    module.def("csc_entries", &csc_entries, arg("indptr"), arg("indices"), arg("n_columns"), arg("n_threads") = 0);
    module.def("csr_subset", &csr_subset, arg("indptr"), arg("mask"), arg("arrays"), arg("n_threads") = 0);
    module.def("first_invalid", &first_invalid_py, arg("values"), arg("non_negative"), arg("n_threads") = 0);
    module.def("check_ratings", &check_ratings, arg("indptr"), arg("indices"), arg("values"), arg("n_columns"),
               arg("caller"));
}

}  // namespace fastcf::bind
