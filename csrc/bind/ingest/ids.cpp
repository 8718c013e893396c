#include "bind/ingest/ids.h"

#include <algorithm>
#include <memory>

#include "bind/gil.h"
#include "bind/ingest/register.h"

namespace fastcf::bind {

// int32 or int64 arrays.
IdArray ids_in(const py::object& object, const char* caller, const char* name) {
    if (py::isinstance<py::array_t<std::int32_t>>(object)) {
        const auto ids = vector_in<std::int32_t>(object, caller, name);
        return {IdArray::Type::int32, ids.data, ids.size};
    }
    const auto ids = vector_in<std::int64_t>(object, caller, name);
    return {IdArray::Type::int64, ids.data, ids.size};
}

namespace {

py::array_t<std::int64_t> unique_ids(const Array<Any>& ids, std::int64_t limit, int n_threads) {
    const IdArray input = ids_in(ids, "unique_ids", "ids");
    check(limit >= 0 && limit <= kMaxDistinctIds, "unique_ids: limit must lie in [0, ", kMaxDistinctIds, "]; got ",
          limit);
    std::vector<std::int64_t> values;
    {
        const ReleasedGil release;
        values = unique_integers(input, limit, n_threads);
    }
    return py::array_t<std::int64_t>(static_cast<py::ssize_t>(values.size()), values.data());
}

py::array_t<std::int32_t> encode(const IdIndex& index, const Array<Any>& ids, int n_threads) {
    const IdArray input = ids_in(ids, "IdIndex.encode", "ids");
    py::array_t<std::int32_t> rows(input.size);
    std::int32_t* out = rows.mutable_data();
    {
        const ReleasedGil release;
        index.encode_all(input, out, n_threads);
    }
    return rows;
}

}  // namespace

void register_ids(py::module_& module) {
    module.def("unique_ids", &unique_ids, py::arg("ids"), py::arg("limit") = kMaxDistinctIds, py::arg("n_threads") = 0);
    py::class_<IdIndex, std::shared_ptr<IdIndex>>(module, "IdIndex")
        .def(py::init([](const Array<Any>& ids) {
                 const IdArray input = ids_in(ids, "IdIndex", "ids");
                 const ReleasedGil release;
                 return std::make_shared<IdIndex>(input);
             }),
             py::arg("ids"))
        .def("encode", &encode, py::arg("ids"), py::arg("n_threads") = 0)
        .def("__len__", &IdIndex::size);
}

}  // namespace fastcf::bind
