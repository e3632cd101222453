// message_strip_characters and message_reject_characters: a set of bytes.
#pragma once

#include <bitset>
#include <string>
#include <string_view>

namespace bulkhead
{

class CharacterSet
{
public:
    CharacterSet() = default;

    // Bytes as they are, and \a \b \f \n \r \t \v \\ \ooo (octal).
    static CharacterSet parse(std::string_view text);

    bool empty() const { return bytes_.none(); }
    bool contains(char c) const { return bytes_[static_cast<unsigned char>(c)]; }
    bool meets(std::string_view text) const;
    std::string without(std::string_view text) const;

private:
    std::bitset<256> bytes_;
};

} // namespace bulkhead
