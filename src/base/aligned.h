/// AlignedBuffer<T>: a fixed-size array on a 64-byte boundary, padded with 64 zero bytes at its end
/// so that a vector load that starts inside it never leaves the allocation. T is trivially
/// copyable.
#pragma once

#include <cstddef>
#include <cstring>
#include <new>
#include <span>
#include <type_traits>
#include <utility>

namespace vdb {

inline constexpr std::size_t kCacheLine = 64;

template <class T>
class AlignedBuffer {
  static_assert(std::is_trivially_copyable_v<T>);

 public:
  AlignedBuffer() = default;
  /// Allocates `size` zeroed elements. Throws std::bad_alloc.
  explicit AlignedBuffer(std::size_t size) { Reset(size); }
  AlignedBuffer(AlignedBuffer&& other) noexcept { *this = std::move(other); }
  AlignedBuffer& operator=(AlignedBuffer&& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(size_, other.size_);
    std::swap(capacity_, other.capacity_);
    return *this;
  }
  AlignedBuffer(const AlignedBuffer&) = delete;
  AlignedBuffer& operator=(const AlignedBuffer&) = delete;
  ~AlignedBuffer() { Free(); }

  /// Makes it `size` zeroed elements; what it held is lost. Keeps its memory when that is large
  /// enough.
  void Reset(std::size_t size) {
    if (size > capacity_) {
      Free();
      data_ = static_cast<T*>(::operator new (Bytes(size), std::align_val_t{kCacheLine}));
      capacity_ = size;
    }
    size_ = size;
    if (data_ != nullptr) std::memset(static_cast<void*>(data_), 0, Bytes(size));
  }

  T* data() { return data_; }
  const T* data() const { return data_; }
  std::size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }
  T& operator[](std::size_t i) { return data_[i]; }
  const T& operator[](std::size_t i) const { return data_[i]; }
  std::span<T> span() { return {data_, size_}; }
  std::span<const T> span() const { return {data_, size_}; }

 private:
  static std::size_t Bytes(std::size_t size) {
    return (size * sizeof(T) + kCacheLine - 1) / kCacheLine * kCacheLine + kCacheLine;
  }
  void Free() {
    if (data_ != nullptr) ::operator delete (data_, std::align_val_t{kCacheLine});
    data_ = nullptr;
    size_ = capacity_ = 0;
  }

  T* data_ = nullptr;
  std::size_t size_ = 0;
  std::size_t capacity_ = 0;
};

}  // namespace vdb
