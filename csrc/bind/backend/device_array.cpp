#include "bind/backend/device_array.h"

#include <algorithm>

#include "bind/backend/random.h"
#include "bind/backend/register.h"
#include "bind/gil.h"

namespace fastcf::bind {
namespace {

HeldArray hold(const py::array& array) {
    const char* caller = "DeviceArray";
    const bool known = py::isinstance<py::array_t<float>>(array) || py::isinstance<py::array_t<double>>(array);
    if (!known)
        throw py::type_error(
            concat(caller, ": array must have dtype float32 or float64; got ", std::string(py::str(array.dtype()))));
    check(array.ndim() == 1 || array.ndim() == 2, caller, ": array must have 1 or 2 dimensions; got ", array.ndim());
    check((array.flags() & py::array::c_style) != 0, caller, ": array must be C-contiguous");
    HeldArray held{DeviceArray<unsigned char>(array.nbytes()), array.dtype(), {}};
    held.shape.assign(array.shape(), array.shape() + array.ndim());
    const auto* data = static_cast<const unsigned char*>(array.data());
    const ReleasedGil release;
    held.bytes.upload(data);
    return held;
}

HeldArray hold_random(std::int64_t rows, std::int64_t cols, const std::string& distribution, double scale,
                      std::uint64_t seed, std::uint64_t stream, int n_threads) {
    const Distribution kind = check_random(rows, cols, distribution, scale);
    HeldArray held{DeviceArray<unsigned char>(4 * rows * cols), py::dtype::of<float>(), {rows, cols}};
    const ReleasedGil release;
    random_fill(kind, seed, stream, static_cast<float>(scale),
                {reinterpret_cast<float*>(held.bytes.data()), rows * cols}, n_threads);
    return held;
}

Array<Any> fetch(const HeldArray& held) {
    py::array array(held.dtype, held.shape);
    auto* data = static_cast<unsigned char*>(array.mutable_data());
    const ReleasedGil release;
    held.bytes.download(data);
    return array;
}

}  // namespace

void register_device_array(py::module_& module) {
    py::class_<HeldArray>(module, "DeviceArray", py::module_local())
        .def(py::init(&hold), py::arg("array"))
        .def("numpy", &fetch)
        .def_property_readonly("dtype", [](const HeldArray& held) { return held.dtype; })
        .def_property_readonly("shape", [](const HeldArray& held) -> Tuple<py::int_, py::ellipsis> {
            py::tuple shape(held.shape.size());
            for (std::size_t d = 0; d < held.shape.size(); ++d) shape[d] = held.shape[d];
            return shape;
        });
    module.def("random_on_device", &hold_random, py::arg("rows"), py::arg("cols"), py::arg("distribution"),
               py::arg("scale"), py::arg("seed"), py::arg("stream") = 0, py::arg("n_threads") = 0);
}

}  // namespace fastcf::bind
