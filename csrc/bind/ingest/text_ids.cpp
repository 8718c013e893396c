#include "bind/ingest/text_ids.h"

#include <algorithm>
#include <memory>
#include <type_traits>
#include <utility>

#include "bind/gil.h"
#include "bind/ingest/register.h"
#include "core/check.h"

namespace fastcf::bind {

// Offsets are checked here, for every call: O(n).
TextsView texts_in(const Array<std::uint8_t>& bytes, const Array<std::int64_t>& offsets, const char* caller) {
    const auto utf8 = vector_in<std::uint8_t>(bytes, caller, "utf8");
    const auto ends = vector_in<std::int64_t>(offsets, caller, "offsets");
    check(ends.size >= 1, caller, ": offsets must have at least one entry; got 0");
    const TextsView texts{reinterpret_cast<const char*>(utf8.data), ends.data, ends.size - 1};
    check_offsets(texts, utf8.size, caller);
    return texts;
}

namespace {

using Texts = Tuple<py::array_t<std::uint8_t>, py::array_t<std::int64_t>>;
using CodedTexts = Tuple<py::array_t<std::uint8_t>, py::array_t<std::int64_t>, py::array_t<std::int32_t>>;

// Appends a Python string as UTF-8; false where it has lone surrogates. Python's own conversion would keep its result
// with the string for as long as that lives.
bool append_text(PyObject* text, std::vector<char>& out) {
    const Py_ssize_t n = PyUnicode_GET_LENGTH(text);
    switch (PyUnicode_KIND(text)) {
        case PyUnicode_1BYTE_KIND:
            return append_utf8(PyUnicode_1BYTE_DATA(text), n, out);
        case PyUnicode_2BYTE_KIND:
            return append_utf8(PyUnicode_2BYTE_DATA(text), n, out);
        default:
            return append_utf8(PyUnicode_4BYTE_DATA(text), n, out);
    }
}

// The distinct texts of an array of Python strings; with the GIL, for other threads may change the array.
TextTable encode_objects(const py::array& array, std::int32_t* codes) {
    constexpr py::ssize_t kAtOnce = 1024;
    TextDictionary found;
    std::vector<std::string_view> views(kAtOnce);
    std::vector<char> converted;  // those that are not ASCII
    converted.reserve(1);         // so that an empty text has an address
    std::vector<std::size_t> ends;
    const py::ssize_t n = array.shape(0);
    for (py::ssize_t begin = 0; begin < n; begin += kAtOnce) {
        if (PyErr_CheckSignals() != 0) throw py::error_already_set();
        const py::ssize_t count = std::min(kAtOnce, n - begin);
        converted.clear();
        ends.assign(1, 0);
        for (py::ssize_t i = 0; i < count; ++i) {
            PyObject* const object = *static_cast<PyObject* const*>(array.data(begin + i));
            auto& view = views[static_cast<std::size_t>(i)];
            if (object == nullptr || !PyUnicode_Check(object))
                throw py::type_error(concat("must be strings; got something else at entry ", begin + i));
            if (PyUnicode_IS_COMPACT_ASCII(object)) {
                view = {reinterpret_cast<const char*>(PyUnicode_1BYTE_DATA(object)),
                        static_cast<std::size_t>(PyUnicode_GET_LENGTH(object))};
                continue;
            }
            check(append_text(object, converted), "must be Unicode text; got a lone surrogate at entry ", begin + i);
            view = {};  // `converted` may still move
            ends.push_back(converted.size());
        }
        for (std::size_t i = 0, k = 0; k + 1 < ends.size(); ++i)
            if (views[i].data() == nullptr) {
                views[i] = {converted.data() + ends[k], ends[k + 1] - ends[k]};
                ++k;
            }
        found.code_all(views.data(), count, codes + begin);
    }
    std::vector<TextDictionary> one;
    one.push_back(std::move(found));
    UnitedTexts united = unite_texts(std::move(one), 1);
    for (py::ssize_t i = 0; i < n; ++i) codes[i] = united.positions[0][static_cast<std::size_t>(codes[i])];
    return std::move(united.texts);
}

// Texts of arrays of dtype '<U..' or of Python strings, of any stride; messages begin behind the array's name.
CodedTexts encode_array(const Array<Any>& texts, int n_threads) {
    check(py::isinstance<py::array>(texts), "encode_texts", ": texts must be a NumPy array");
    const auto array = py::reinterpret_borrow<py::array>(texts);
    check(array.ndim() == 1, "encode_texts", ": texts must have 1 dimension(s); got ", array.ndim());
    const char kind = array.dtype().kind();
    check(kind == 'U' || kind == 'O', "encode_texts", ": texts must have dtype '<U..' or object");
    py::array_t<std::int32_t> codes(array.shape(0));
    std::int32_t* const out = codes.mutable_data();
    TextTable table;
    if (kind == 'O') {
        table = encode_objects(array, out);
    } else {
        constexpr auto kUnit = static_cast<py::ssize_t>(sizeof(char32_t));
        const py::ssize_t stride = array.size() > 1 ? array.strides(0) : 0;
        const bool native = array.dtype().attr("isnative").cast<bool>();
        const bool aligned =
            reinterpret_cast<std::uintptr_t>(array.data()) % sizeof(char32_t) == 0 && stride % kUnit == 0;
        check(native && aligned, "encode_texts", ": texts must be aligned and in native byte order");
        const TextColumn column{static_cast<const char32_t*>(array.data()), array.shape(0), array.itemsize() / kUnit,
                                stride / kUnit};
        const ReleasedGil release;
        table = encode_texts(column, n_threads, out);
    }
    return py::make_tuple(bytes_of(table), offsets_of(table), codes);
}

struct TablesForm {
    static constexpr auto name =
        py::detail::const_name("list[tuple[numpy.typing.NDArray[numpy.uint8], numpy.typing.NDArray[numpy.int64]]]");
};

// Returns the union, ascending, and for each table where its texts are in it.
Tuple<py::array_t<std::uint8_t>, py::array_t<std::int64_t>, py::typing::List<py::array_t<std::int32_t>>> unite(
    const Formed<TablesForm>& tables, int n_threads) {
    std::vector<TextsView> views;
    for (const py::handle table : parts_in(tables, "unite_texts", "tables")) {
        const py::tuple parts = parts_in(py::reinterpret_borrow<py::object>(table), "unite_texts", "tables");
        check(parts.size() == 2, "unite_texts: tables must be pairs; got ", parts.size(), " parts");
        views.push_back(texts_in(py::object(parts[0]), py::object(parts[1]), "unite_texts"));
    }
    UnitedTexts united;
    {
        const ReleasedGil release;
        united = unite_texts(views, n_threads);
    }
    py::list positions;
    for (const auto& part : united.positions)
        positions.append(py::array_t<std::int32_t>(static_cast<py::ssize_t>(part.size()), part.data()));
    return py::make_tuple(bytes_of(united.texts), offsets_of(united.texts), positions);
}

Texts take(const Array<std::uint8_t>& utf8, const Array<std::int64_t>& offsets, const Array<std::int64_t>& rows) {
    const TextsView texts = texts_in(utf8, offsets, "take_texts");
    const auto wanted = vector_in<std::int64_t>(rows, "take_texts", "rows");
    TextTable table;
    for (std::int64_t i = 0; i < wanted.size; ++i) {
        const std::int64_t row = wanted[i];
        check(row >= 0 && row < texts.size, "take_texts: rows must lie in [0, ", texts.size, "); got ", row);
        table.push_back(texts[row]);
    }
    return py::make_tuple(bytes_of(table), offsets_of(table));
}

py::typing::List<py::str> list_of(const Array<std::uint8_t>& utf8, const Array<std::int64_t>& offsets) {
    const TextsView texts = texts_in(utf8, offsets, "list_texts");
    py::list result(static_cast<std::size_t>(texts.size));
    for (std::int64_t i = 0; i < texts.size; ++i) {
        const std::string_view text = texts[i];
        PyObject* const decoded = PyUnicode_DecodeUTF8(text.data(), static_cast<Py_ssize_t>(text.size()), nullptr);
        if (decoded == nullptr) throw py::error_already_set();
        PyList_SET_ITEM(result.ptr(), static_cast<Py_ssize_t>(i), decoded);
    }
    return result;
}

std::int64_t first_not_integer(const Array<std::uint8_t>& utf8, const Array<std::int64_t>& offsets) {
    const TextsView texts = texts_in(utf8, offsets, "first_not_integer");
    for (std::int64_t i = 0; i < texts.size; ++i)
        if (!is_integer_text(texts[i])) return i;
    return -1;
}

// Numbers texts in the order in which they appear; with the GIL.
py::array_t<std::int32_t> encode_more(TextDictionary& dictionary, const Array<std::uint8_t>& utf8,
                                      const Array<std::int64_t>& offsets) {
    const TextsView texts = texts_in(utf8, offsets, "TextDictionary.encode");
    py::array_t<std::int32_t> numbers(texts.size);
    std::int32_t* const out = numbers.mutable_data();
    for (std::int64_t i = 0; i < texts.size; ++i) out[i] = dictionary.code(texts[i]);
    return numbers;
}

Texts texts_of(const TextDictionary& dictionary) {
    return py::make_tuple(bytes_of(dictionary.table()), offsets_of(dictionary.table()));
}

// Keeps the arrays alive that the index looks into.
template <class Index>
class Owning {
  public:
    Owning(const Array<std::uint8_t>& utf8, const Array<std::int64_t>& offsets)
        : utf8_(utf8), offsets_(offsets), index_(make(texts_in(utf8, offsets, kName))) {}

    py::array_t<std::int32_t> encode(const Array<std::uint8_t>& utf8, const Array<std::int64_t>& offsets,
                                     int n_threads) const {
        const TextsView texts = texts_in(utf8, offsets, kName);
        py::array_t<std::int32_t> rows(texts.size);
        std::int32_t* const out = rows.mutable_data();
        const ReleasedGil release;
        index_->encode(texts, out, n_threads);
        return rows;
    }

    std::int64_t size() const { return index_->size(); }
    const Index& index() const { return *index_; }

    static constexpr const char* kName = std::is_same_v<Index, TextIndex> ? "TextIndex" : "AscendingTexts";

  private:
    static std::unique_ptr<Index> make(const TextsView& texts) {
        const ReleasedGil release;
        return std::make_unique<Index>(texts);
    }

    py::object utf8_;
    py::object offsets_;
    std::unique_ptr<Index> index_;
};

template <class Index>
py::class_<Owning<Index>> register_index(py::module_& module) {
    using py::arg;
    py::class_<Owning<Index>> index(module, Owning<Index>::kName);
    index.def(py::init<const Array<std::uint8_t>&, const Array<std::int64_t>&>(), arg("utf8"), arg("offsets"))
        .def("encode", &Owning<Index>::encode, arg("utf8"), arg("offsets"), arg("n_threads") = 0)
        .def("__len__", &Owning<Index>::size);
    return index;
}

}  // namespace

void register_text_ids(py::module_& module) {
    using py::arg;
    module.def("encode_texts", &encode_array, arg("texts"), arg("n_threads") = 0);
    module.def("unite_texts", &unite, arg("tables"), arg("n_threads") = 0);
    module.def("take_texts", &take, arg("utf8"), arg("offsets"), arg("rows"));
    module.def("list_texts", &list_of, arg("utf8"), arg("offsets"));
    module.def("first_not_integer", &first_not_integer, arg("utf8"), arg("offsets"));
    module.def(
        "check_texts",
        [](const Array<std::uint8_t>& utf8, const Array<std::int64_t>& offsets) {
            check_utf8(texts_in(utf8, offsets, "check_texts"), "check_texts");
        },
        arg("utf8"), arg("offsets"));
    py::class_<TextDictionary>(module, "TextDictionary")
        .def(py::init<>())
        .def("encode", &encode_more, arg("utf8"), arg("offsets"))
        .def("texts", &texts_of);
    register_index<TextIndex>(module);
    register_index<AscendingTexts>(module).def_property_readonly(
        "ascending", [](const Owning<AscendingTexts>& texts) { return texts.index().ascending(); });
}

}  // namespace fastcf::bind
