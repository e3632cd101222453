#include "table/file_value.h"

#include "base/text.h"
#include "os/files.h"

#include <array>
#include <cstdint>

namespace bulkhead
{

Result<std::string> read_file_value(std::string_view names)
{
    constexpr std::size_t size_limit = 4 << 20;
    std::string contents;
    for (const std::string_view name : split(names, ", \t\r\n")) {
        TRY(const std::string file, read_file(std::string(name), size_limit));
        if (!contents.empty())
            contents.push_back('\n');
        contents += file;
        if (contents.size() > size_limit)
            return Error{Fault::limit, "files are too large for a table"};
    }
    return contents;
}

static constexpr std::string_view digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

std::string to_base64(std::string_view bytes)
{
    std::string text;
    for (std::size_t i = 0; i < bytes.size(); i += 3) {
        std::uint32_t group = 0;
        for (std::size_t j = 0; j < 3; ++j)
            group = (group << 8) | (i + j < bytes.size() ? static_cast<unsigned char>(bytes[i + j]) : 0u);
        for (std::size_t j = 0; j < 4; ++j)
            text.push_back(i + j <= bytes.size() ? digits[(group >> (18 - 6 * j)) & 63] : '=');
    }
    return text;
}

std::optional<std::string> from_base64(std::string_view text)
{
    if (text.size() % 4 != 0)
        return std::nullopt;
    std::size_t padding = 0;
    while (padding < 2 && text.ends_with('=')) {
        text.remove_suffix(1);
        ++padding;
    }
    std::string bytes;
    std::uint32_t group = 0;
    int bits = 0;
    for (const char c : text) {
        const auto digit = digits.find(c);
        if (digit == digits.npos)
            return std::nullopt;
        group = (group << 6) | static_cast<std::uint32_t>(digit);
        bits += 6;
        if (bits >= 8) {
            bits -= 8;
            bytes.push_back(static_cast<char>(group >> bits));
        }
    }
    return bytes;
}

} // namespace bulkhead
