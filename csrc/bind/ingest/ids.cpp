#include "bind/ingest/ids.h"

#include <algorithm>
#include <memory>

#include "bind/ingest/register.h"

namespace fastcf::bind {

// int32, int64 or '<U..' arrays in this machine's byte order.
IdArray ids_in(const py::object& object, const char* caller, const char* name) {
    if (!py::isinstance<py::array>(object))
        throw py::type_error(concat(caller, ": ", name, " must be a NumPy array; got ",
                                    std::string(py::str(py::type::of(object).attr("__name__")))));
    const auto array = py::reinterpret_borrow<py::array>(object);
    if (py::isinstance<py::array_t<std::int32_t>>(object)) {
        const auto ids = vector_in<std::int32_t>(object, caller, name);
        return {IdArray::Type::int32, ids.data, ids.size, 0};
    }
    if (array.dtype().kind() != 'U') {
        const auto ids = vector_in<std::int64_t>(object, caller, name);
        return {IdArray::Type::int64, ids.data, ids.size, 0};
    }
    check(array.ndim() == 1, caller, ": ", name, " must have 1 dimension(s); got ", array.ndim());
    check((array.flags() & py::array::c_style) != 0, caller, ": ", name, " must be C-contiguous");
    const bool native = array.dtype().attr("isnative").cast<bool>();
    const bool aligned = reinterpret_cast<std::uintptr_t>(array.data()) % sizeof(char32_t) == 0;
    check(native && aligned, caller, ": ", name, " must be aligned and in native byte order");
    return {IdArray::Type::ucs4, array.data(), array.shape(0),
            static_cast<std::int64_t>(array.itemsize()) / static_cast<std::int64_t>(sizeof(char32_t))};
}

namespace {

py::array unique_ids(const Array<Any>& ids, std::int64_t limit, int n_threads) {
    const IdArray input = ids_in(ids, "unique_ids", "ids");
    check(limit >= 0 && limit <= kMaxDistinctIds, "unique_ids: limit must lie in [0, ", kMaxDistinctIds, "]; got ",
          limit);
    if (input.type != IdArray::Type::ucs4) {
        std::vector<std::int64_t> values;
        {
            const py::gil_scoped_release release;
            values = unique_integers(input, limit, n_threads);
        }
        return py::array_t<std::int64_t>(static_cast<py::ssize_t>(values.size()), values.data());
    }
    check(input.width > 0, "unique_ids: strings must have room for a character; got dtype '<U0'");
    std::vector<char32_t> texts;
    {
        const py::gil_scoped_release release;
        texts = unique_strings(input, limit, n_threads);
    }
    const auto n = static_cast<py::ssize_t>(texts.size()) / static_cast<py::ssize_t>(input.width);
    return py::array(py::reinterpret_borrow<py::array>(ids).dtype(), py::array::ShapeContainer{n}, texts.data());
}

py::array_t<std::int32_t> encode(const IdIndex& index, const Array<Any>& ids, int n_threads) {
    const IdArray input = ids_in(ids, "IdIndex.encode", "ids");
    py::array_t<std::int32_t> rows(input.size);
    std::int32_t* out = rows.mutable_data();
    {
        const py::gil_scoped_release release;
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
                 const py::gil_scoped_release release;
                 return std::make_shared<IdIndex>(input);
             }),
             py::arg("ids"))
        .def("encode", &encode, py::arg("ids"), py::arg("n_threads") = 0)
        .def("__len__", &IdIndex::size);
}

}  // namespace fastcf::bind
