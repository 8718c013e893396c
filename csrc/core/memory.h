// Memory of the device that a backend computes on: the host's own for the CPU. Trainers keep what lives across epochs
// in DeviceArrays and hand their pointers to ops; only what is downloaded may be read on the host.
#pragma once

#include <cstdint>
#include <memory>
#include <type_traits>
#include <utility>
#include <vector>

#include "core/check.h"

namespace fastcf {

// Every backend implements these. They throw DeviceFailure where the device refuses; memory is aligned to 64 bytes or
// more, and not initialised. Copies are finished when they return, and come after all work asked for before.
void* device_allocate(std::int64_t bytes);
void device_free(void* memory) noexcept;
void device_upload(void* to, const void* from_host, std::int64_t bytes);
void device_download(void* to_host, const void* from, std::int64_t bytes);
void device_copy(void* to, const void* from, std::int64_t bytes, int n_threads);
void device_clear(void* memory, std::int64_t bytes);  // to zeros
// Whether the pointer leads to memory of device_allocate that the host cannot read; never so on the CPU.
bool device_only(const void* pointer);
// How much device_allocate could give now; for who may do with less, by cutting the work.
std::int64_t device_free_bytes();

// Memory of the host that the device reads while the host goes on: page-locked for a GPU. Implemented by every backend.
class Staging {
  public:
    explicit Staging(std::int64_t bytes);
    ~Staging();
    Staging(const Staging&) = delete;
    Staging& operator=(const Staging&) = delete;

    unsigned char* data() { return data_; }
    // Uploads everything after all work asked for before, and does not wait. Until `wait` returns the host must leave
    // this memory as it is.
    void send(void* to);
    void wait();

  private:
    unsigned char* data_ = nullptr;
    std::int64_t bytes_ = 0;
    void* sent_ = nullptr;  // how the backend knows that it has arrived
};

[[noreturn]] inline void refuse_memory(std::int64_t bytes, std::int64_t free, std::int64_t total) {
    throw DeviceFailure(
        concat("the GPU's memory is too small: ", bytes, " bytes are needed, ", free, " of ", total, " are free"));
}

template <class T>
class DeviceArray {
    static_assert(std::is_trivially_copyable_v<T>);

  public:
    DeviceArray() = default;
    explicit DeviceArray(std::int64_t size)
        : data_(size == 0 ? nullptr : static_cast<T*>(device_allocate(bytes_of(size)))), size_(size) {}
    DeviceArray(const T* host, std::int64_t size) : DeviceArray(size) { upload(host); }
    explicit DeviceArray(const std::vector<T>& host)
        : DeviceArray(host.data(), static_cast<std::int64_t>(host.size())) {}
    DeviceArray(DeviceArray&& other) noexcept
        : data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)) {}
    DeviceArray& operator=(DeviceArray&& other) noexcept {
        std::swap(data_, other.data_);
        std::swap(size_, other.size_);
        return *this;
    }
    DeviceArray(const DeviceArray&) = delete;
    DeviceArray& operator=(const DeviceArray&) = delete;
    ~DeviceArray() { device_free(data_); }

    static DeviceArray zeros(std::int64_t size) {
        DeviceArray array(size);
        array.clear();
        return array;
    }

    T* data() { return data_; }
    const T* data() const { return data_; }
    std::int64_t size() const { return size_; }
    bool empty() const { return size_ == 0; }

    void clear() {
        if (size_ > 0) device_clear(data_, bytes_of(size_));
    }
    void upload(const T* host) {
        if (size_ > 0) device_upload(data_, host, bytes_of(size_));
    }
    void download(T* host) const {
        if (size_ > 0) device_download(host, data_, bytes_of(size_));
    }
    std::vector<T> to_host() const {
        std::vector<T> host(static_cast<std::size_t>(size_));
        download(host.data());
        return host;
    }
    // Takes other's contents, into memory that is kept from one time to the next.
    void assign(const DeviceArray& other, int n_threads) {
        if (size_ != other.size_) *this = DeviceArray(other.size_);
        if (size_ > 0) device_copy(data_, other.data_, bytes_of(size_), n_threads);
    }
    // Grows, without keeping contents, to hold at least so many.
    void reserve(std::int64_t size) {
        if (size_ < size) *this = DeviceArray(size);
    }

  private:
    static std::int64_t bytes_of(std::int64_t size) { return size * static_cast<std::int64_t>(sizeof(T)); }

    T* data_ = nullptr;
    std::int64_t size_ = 0;
};

// A device array as the host may touch it: the array itself where device memory is the host's, else a copy.
// HostView<const T> is for reading, HostView<T> for writing.
template <class T>
class HostView {
    using Value = std::remove_const_t<T>;
    using Array = std::conditional_t<std::is_const_v<T>, const DeviceArray<Value>, DeviceArray<Value>>;

  public:
    // Without `keep` the contents are not asked for: all of them will be written.
    explicit HostView(Array& array, bool keep = true) : array_(array) {
        if (!device_only(array.data())) return;
        copy_.resize(static_cast<std::size_t>(array.size()));
        if (keep) array.download(copy_.data());
    }
    T* data() const { return copy_.empty() ? array_.data() : const_cast<T*>(copy_.data()); }
    // Makes what was written the device's.
    void finish() {
        if (!copy_.empty()) array_.upload(copy_.data());
    }

  private:
    Array& array_;
    std::vector<Value> copy_;
};

// Arrays that the host writes anew again and again and the device reads, side by side in one block so that they cross
// at one go; where device memory is the host's they do not cross at all. Elsewhere the host fills one copy while the
// other crosses and the device works.
class UploadBlock {
  public:
    template <class T>
    struct Part {
        std::int64_t offset = 0;
    };

    // First all parts are added, then the block is allocated.
    template <class T>
    void add(Part<T>& part, std::int64_t size) {
        static_assert(std::is_trivially_copyable_v<T>);
        part.offset = bytes_;
        bytes_ += (size * static_cast<std::int64_t>(sizeof(T)) + kAlignment - 1) / kAlignment * kAlignment;
    }
    void allocate() {
        device_ = DeviceArray<unsigned char>(bytes_);
        if (!device_only(device_.data())) return;
        for (auto& half : halves_) half = std::make_unique<Staging>(bytes_);
    }
    // Where the host writes, until `send`.
    template <class T>
    T* host(Part<T> part) {
        return reinterpret_cast<T*>((halves_[now_] == nullptr ? device_.data() : halves_[now_]->data()) + part.offset);
    }
    template <class T>
    const T* device(Part<T> part) const {
        return reinterpret_cast<const T*>(device_.data() + part.offset);
    }
    // Makes what was written the device's.
    void send() {
        if (halves_[now_] == nullptr) return;
        halves_[now_]->send(device_.data());
        now_ = 1 - now_;
        halves_[now_]->wait();
    }

  private:
    static constexpr std::int64_t kAlignment = 64;

    std::int64_t bytes_ = 0;
    DeviceArray<unsigned char> device_;
    std::unique_ptr<Staging> halves_[2];
    int now_ = 0;
};

}  // namespace fastcf
