// System calls of the spool with their retries; private to this folder.
#pragma once

#include "base/result.h"
#include "base/unique_fd.h"
#include "spool/paths.h"

#include <fcntl.h>
#include <sys/types.h>

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace bulkhead
{

// Fault::not_found for ENOENT, Fault::refused for EEXIST, Fault::io else.
Error file_error(std::string_view verb, std::string_view path, int number = errno);

// openat() without following a symbolic link in the last component; O_CLOEXEC is added.
Result<UniqueFd> open_at(int directory, const std::string& path, int flags, mode_t mode = 0);

// Writes all pieces from `offset` on.
Result<> write_pieces_at(int fd, std::span<const std::string_view> pieces, std::int64_t offset);

// At most `size` bytes from `offset`; fewer only at the end of the file.
Result<std::size_t> read_at(int fd, char* buffer, std::size_t size, std::int64_t offset);

// Renames inside the spool, never over an existing file (Fault::refused); makes
// the hash directories of the target when they are missing.
Result<> rename_in_spool(const Spool& spool, const std::string& from, const std::string& to);

} // namespace bulkhead
