// Tables of texts across the language border: UTF-8 bytes and offsets as two arrays.
#pragma once

#include "bind/arrays.h"
#include "ingest/text_ids.h"

namespace fastcf::bind {

// Integers, or the texts and codes of a column.
struct IdEntriesForm {
    static constexpr auto name = py::detail::const_name(
        "numpy.typing.NDArray[typing.Any] | tuple[numpy.typing.NDArray[numpy.uint8], "
        "numpy.typing.NDArray[numpy.int64], numpy.typing.NDArray[numpy.int32]]");
};
using IdEntries = Formed<IdEntriesForm>;

TextsView texts_in(const Array<std::uint8_t>& bytes, const Array<std::int64_t>& offsets, const char* caller);

inline py::array_t<std::uint8_t> bytes_of(const TextTable& texts) {
    const auto* data = reinterpret_cast<const std::uint8_t*>(texts.bytes.data());
    return py::array_t<std::uint8_t>(static_cast<py::ssize_t>(texts.bytes.size()), data);
}
inline py::array_t<std::int64_t> offsets_of(const TextTable& texts) {
    return py::array_t<std::int64_t>(static_cast<py::ssize_t>(texts.offsets.size()), texts.offsets.data());
}

}  // namespace fastcf::bind
