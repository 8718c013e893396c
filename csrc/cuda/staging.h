// Arrays of a call that may lie in host memory: they are copied to the device for the call, and results back. Arrays
// that are on the device already are used where they are.
#pragma once

#include <cstdint>
#include <vector>

#include "core/memory.h"
#include "core/view.h"

namespace fastcf {

inline std::int64_t extent(std::int64_t rows, std::int64_t cols, std::int64_t stride) {
    return rows == 0 ? 0 : (rows - 1) * stride + cols;
}

// Whether rows on the device may be read 16 bytes at a time (kernel.h's chunks): by where they begin and how far they
// are apart. Callers' arrays on the device may begin anywhere.
template <class T>
bool in_chunks(const T* data, std::int64_t cols, std::int64_t stride) {
    constexpr std::int64_t kSize = 16 / static_cast<std::int64_t>(sizeof(T));
    return cols % kSize == 0 && stride % kSize == 0 && reinterpret_cast<std::uintptr_t>(data) % 16 == 0;
}

// An argument that is read. Empty stays null.
template <class T>
class In {
  public:
    In(const T* data, std::int64_t size) {
        if (data == nullptr || size == 0) return;
        if (device_only(data)) {
            data_ = data;
            return;
        }
        copy_ = DeviceArray<T>(data, size);
        data_ = copy_.data();
    }
    explicit In(VectorView<const T> view) : In(view.data, view.size) {}
    explicit In(MatrixView<const T> view) : In(view.data, extent(view.rows, view.cols, view.stride)) {}

    operator const T*() const { return data_; }
    const T* data() const { return data_; }

  private:
    DeviceArray<T> copy_;
    const T* data_ = nullptr;
};

// An argument that is written, completely: `finish` brings it to where it is wanted.
template <class T>
class Out {
  public:
    Out(T* data, std::int64_t size) : target_(data) {
        if (data == nullptr || size == 0) return;
        if (device_only(data)) {
            data_ = data;
            return;
        }
        copy_ = DeviceArray<T>(size);
        data_ = copy_.data();
    }
    explicit Out(VectorView<T> view) : Out(view.data, view.size) {}

    operator T*() const { return data_; }
    T* data() const { return data_; }
    void finish() const { copy_.download(target_); }

  protected:
    DeviceArray<T> copy_;
    T* target_;
    T* data_ = nullptr;
};

// An argument that is read and written.
template <class T>
class InOut : public Out<T> {
  public:
    InOut(T* data, std::int64_t size) : Out<T>(data, size) {
        if (data != nullptr) this->copy_.upload(data);
    }
    explicit InOut(VectorView<T> view) : InOut(view.data, view.size) {}
    explicit InOut(MatrixView<T> view) : InOut(view.data, extent(view.rows, view.cols, view.stride)) {}
};

// Points the view to a copy that the host can read, where it cannot read the array.
template <class T>
void bring_to_host(VectorView<const T>& view, std::vector<T>& copy) {
    if (!device_only(view.data)) return;
    copy.resize(static_cast<std::size_t>(view.size));
    device_download(copy.data(), view.data, view.size * static_cast<std::int64_t>(sizeof(T)));
    view.data = copy.data();
}

}  // namespace fastcf
