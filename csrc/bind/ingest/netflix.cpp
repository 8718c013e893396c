#include "ingest/netflix.h"

#include "bind/arrays.h"
#include "bind/gil.h"
#include "bind/ingest/register.h"
#include "bind/ingest/text.h"

namespace fastcf::bind {

namespace {

using namespace fastcf::ingest;

struct SourcesForm {
    static constexpr auto name = py::detail::const_name("list[collections.abc.Buffer | str]");
};

// sources: list of texts (buffers) and of paths (str) of small files, which the threads read themselves.
Tuple<py::array_t<std::int32_t>, py::array_t<std::int32_t>, ArrayOrNone<float>, ArrayOrNone<std::int64_t>>
read_netflix_arrays(const Formed<SourcesForm>& sources, int n_fields, int n_threads, std::int64_t piece_bytes) {
    check(n_fields >= 1 && n_fields <= 3, "read_netflix: n_fields must be 1, 2 or 3; got ", n_fields);
    check(piece_bytes > 0, "read_netflix: piece_bytes must be positive; got ", piece_bytes);
    std::vector<std::unique_ptr<TextView>> views;
    std::vector<NetflixSource> inputs;
    for (const py::handle source : parts_in(sources, "read_netflix", "sources")) {
        if (py::isinstance<py::str>(source)) {
            const auto encoded = py::reinterpret_steal<py::bytes>(PyUnicode_EncodeFSDefault(source.ptr()));
            if (!encoded) throw py::error_already_set();
            inputs.push_back({nullptr, nullptr, std::string(encoded)});
        } else {
            static constexpr char kEmpty = '\0';  // an empty buffer may have no address, which would mean a path
            views.push_back(std::make_unique<TextView>(py::cast<py::buffer>(source), "read_netflix"));
            const bool empty = views.back()->size() == 0;
            inputs.push_back({empty ? &kEmpty : views.back()->begin(), empty ? &kEmpty : views.back()->end(), {}});
        }
    }
    std::vector<NetflixPiece> pieces;
    std::int64_t n = 0;
    {
        const ReleasedGil release;
        n = plan_netflix(inputs, piece_bytes, n_threads, pieces);
    }
    py::array_t<std::int32_t> users(n);
    py::array_t<std::int32_t> items(n);
    py::array_t<float> ratings(n_fields == 3 ? n : 0);
    py::array_t<std::int64_t> timestamps(n_fields >= 2 ? n : 0);
    const NetflixColumns columns{users.mutable_data(), items.mutable_data(),
                                 n_fields == 3 ? ratings.mutable_data() : nullptr,
                                 n_fields >= 2 ? timestamps.mutable_data() : nullptr};
    {
        const ReleasedGil release;
        n = read_netflix(inputs, n_fields, pieces, columns, n_threads);
    }
    const py::slice rows(0, n, 1);
    return py::make_tuple(users[rows], items[rows], n_fields == 3 ? py::object(ratings[rows]) : py::none(),
                          n_fields >= 2 ? py::object(timestamps[rows]) : py::none());
}

}  // namespace

void register_netflix(py::module_& module) {
    module.def("read_netflix", &read_netflix_arrays, py::arg("sources"), py::kw_only(), py::arg("n_fields"),
               py::arg("n_threads") = 0, py::arg("piece_bytes") = std::int64_t{1} << 22);
}

}  // namespace fastcf::bind
