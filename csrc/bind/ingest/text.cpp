#include "ingest/text.h"

#include <pybind11/stl.h>

#include "bind/arrays.h"
#include "bind/ingest/register.h"
#include "bind/ingest/text.h"
#include "core/check.h"

namespace fastcf::bind {

namespace {

using namespace fastcf::ingest;

// An id column of a log as a NumPy array; its dtype changes as the passes find out what the ids are.
struct IdArray {
    py::array array;
    IdColumn column;

    IdArray(std::int64_t n, bool narrow) { become(narrow ? IdMode::narrow : IdMode::integer, n, 0); }

    // Readies the column for the next pass, after what the last one found out; false when nothing is left to do.
    bool advance(std::int64_t n, IdMode needed, bool complete, std::int64_t width) {
        if (needed != column.mode)
            become(needed, n, 0);
        else if (column.mode == IdMode::measure && complete)
            become(IdMode::text, n, width);
        else
            return column.mode == IdMode::measure;
        return true;
    }

    ColumnBytes bytes() { return {array.mutable_data(), static_cast<std::int64_t>(array.itemsize())}; }

  private:
    void become(IdMode mode, std::int64_t n, std::int64_t width) {
        column = IdColumn{};
        column.mode = mode;
        column.width = std::max<std::int64_t>(width, 1);  // NumPy has no strings of width 0
        const char* integer = mode == IdMode::narrow ? "i4" : "i8";
        array = py::array();  // frees the old one first
        if (mode == IdMode::measure) return;
        const std::string dtype = mode == IdMode::text ? "U" + std::to_string(column.width) : integer;
        array = py::array(py::dtype(dtype), std::vector<py::ssize_t>{n});
        void* data = array.mutable_data();
        if (mode == IdMode::narrow) column.narrow = static_cast<std::int32_t*>(data);
        if (mode == IdMode::integer) column.integers = static_cast<std::int64_t*>(data);
        if (mode == IdMode::text) column.characters = static_cast<char32_t*>(data);
    }
};

void check_format(const LogFormat& format) {
    const char* caller = "read_log";
    check(!format.separator.empty(), caller, ": separator must not be empty");
    check(format.n_fields > 0, caller, ": n_fields must be positive; got ", format.n_fields);
    for (const int column : {format.user, format.item, format.rating})
        check(column >= 0 && column < format.n_fields, caller, ": columns must lie in [0, ", format.n_fields, "); got ",
              column);
    check(format.timestamp >= -1 && format.timestamp < format.n_fields, caller, ": timestamp must lie in [-1, ",
          format.n_fields, "); got ", format.timestamp);
    check(format.user != format.item && format.user != format.rating && format.item != format.rating &&
              format.timestamp != format.user && format.timestamp != format.item && format.timestamp != format.rating,
          caller, ": columns must differ");
}

Tuple<Array<Any>, Array<Any>, py::array_t<float>, ArrayOrNone<std::int64_t>> read_log_arrays(
    const py::buffer& text, std::int64_t offset, std::int64_t first_line, const std::string& separator, int n_fields,
    const std::array<int, 4>& columns, bool narrow, int n_threads, std::int64_t piece_bytes) {
    const LogFormat format{separator, n_fields, columns[0], columns[1], columns[2], columns[3]};
    check_format(format);
    const TextView view(text, "read_log");
    check(offset >= 0 && offset <= view.size(), "read_log: offset must lie in [0, ", view.size(), "]; got ", offset);
    check(piece_bytes > 0, "read_log: piece_bytes must be positive; got ", piece_bytes);

    std::vector<Piece> pieces;
    std::int64_t n = 0;
    {
        const py::gil_scoped_release release;
        pieces = cut_at_lines(view.begin() + offset, view.end(), piece_bytes);
        n = number_lines(pieces, first_line, n_threads);
    }
    IdArray users(n, narrow);
    IdArray items(n, narrow);
    py::array_t<float> ratings(n);
    py::array_t<std::int64_t> timestamps(format.timestamp >= 0 ? n : 0);
    for (bool again = true; again;) {
        const LogColumns out{users.column, items.column, ratings.mutable_data(),
                             format.timestamp >= 0 ? timestamps.mutable_data() : nullptr};
        LogPass pass;
        {
            const py::gil_scoped_release release;
            pass = read_log(format, pieces, out, n_threads);
        }
        const bool complete = pass.user_mode == users.column.mode && pass.item_mode == items.column.mode;
        again = users.advance(n, pass.user_mode, complete, pass.user_width);
        again |= items.advance(n, pass.item_mode, complete, pass.item_width);
    }

    std::vector<ColumnBytes> filled{users.bytes(), items.bytes(), {ratings.mutable_data(), sizeof(float)}};
    if (format.timestamp >= 0) filled.push_back({timestamps.mutable_data(), sizeof(std::int64_t)});
    const py::slice rows(0, close_gaps(pieces, filled), 1);
    return py::make_tuple(users.array[rows], items.array[rows], ratings[rows],
                          format.timestamp >= 0 ? py::object(timestamps[rows]) : py::none());
}

}  // namespace

void register_text(py::module_& module) {
    register_parse_error(module);
    module.def("read_log", &read_log_arrays, py::arg("text"), py::kw_only(), py::arg("offset"), py::arg("first_line"),
               py::arg("separator"), py::arg("n_fields"), py::arg("columns"), py::arg("narrow") = false,
               py::arg("n_threads") = 0, py::arg("piece_bytes") = std::int64_t{1} << 20);
    module.def(
        "split_line",
        [](const std::string& line, const std::string& separator) {
            check(!separator.empty(), "split_line: separator must not be empty");
            return split_line(line, separator);
        },
        py::arg("line"), py::arg("separator"));
}

}  // namespace fastcf::bind
