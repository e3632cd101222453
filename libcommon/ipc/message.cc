#include "ipc/message.h"

#include <charconv>
#include <cstring>

#include <fmt/format.h>

namespace bulkhead::ipc
{

namespace
{

constexpr std::size_t usual_size = 240; // of a body

void append_u32(std::string& out, std::uint32_t value)
{
    const char bytes[4] = {static_cast<char>(value), static_cast<char>(value >> 8),
                           static_cast<char>(value >> 16), static_cast<char>(value >> 24)};
    out.append(bytes, 4);
}

std::uint32_t read_u32(std::string_view bytes)
{
    const auto at = [&](int i) {
        return static_cast<std::uint32_t>(static_cast<unsigned char>(bytes[static_cast<std::size_t>(i)]));
    };
    return at(0) | at(1) << 8 | at(2) << 16 | at(3) << 24;
}

} // namespace

Message& Message::add(std::string_view name, std::string_view value)
{
    ensure(name.size() <= 255, "attribute name too long");
    if (body_.empty())
        body_.reserve(usual_size);
    body_ += static_cast<char>(name.size());
    body_ += name;
    append_u32(body_, static_cast<std::uint32_t>(value.size()));
    body_ += value;
    return *this;
}

Message& Message::add(std::string_view name, std::int64_t value)
{
    char digits[24];
    const auto end = std::to_chars(digits, digits + sizeof digits, value).ptr;
    return add(name, std::string_view(digits, static_cast<std::size_t>(end - digits)));
}

std::optional<Message::Attribute> Message::Walk::next()
{
    if (rest_.empty())
        return std::nullopt;
    const std::size_t name_size = static_cast<unsigned char>(rest_.front());
    if (rest_.size() < 1 + name_size + 4)
        return std::nullopt;
    const std::string_view name = rest_.substr(1, name_size);
    const std::size_t value_size = read_u32(rest_.substr(1 + name_size));
    rest_.remove_prefix(1 + name_size + 4);
    if (rest_.size() < value_size) {
        rest_ = {};
        return std::nullopt;
    }
    const std::string_view value = rest_.substr(0, value_size);
    rest_.remove_prefix(value_size);
    return Attribute{name, value};
}

Result<> check_attributes(std::string_view body)
{
    std::size_t used = 0;
    Message::Walk walk(body);
    while (const auto attribute = walk.next())
        used += 1 + attribute->name.size() + 4 + attribute->value.size();
    if (used != body.size())
        return Error{Fault::malformed, "message with a cut attribute"};
    return {};
}

std::optional<std::string_view> Message::find(std::string_view name) const
{
    Walk attributes = walk();
    while (const auto attribute = attributes.next())
        if (attribute->name == name)
            return attribute->value;
    return std::nullopt;
}

Result<std::string_view> Message::text(std::string_view name) const
{
    if (const auto value = find(name))
        return *value;
    return Error{Fault::malformed, fmt::format("message without attribute {}", name)};
}

Result<std::int64_t> Message::number(std::string_view name) const
{
    TRY(const auto digits, text(name));
    std::int64_t value = 0;
    const auto [end, fault] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
    if (fault != std::errc{} || end != digits.data() + digits.size())
        return Error{Fault::malformed, fmt::format("attribute {} is no number", name)};
    return value;
}

void append_frame_header(std::string& out, Kind kind, std::size_t body_size)
{
    ensure(body_size <= max_frame_body, "message too large to send");
    out += frame_magic;
    out += frame_version;
    out += static_cast<char>(kind);
    out += '\0';
    append_u32(out, static_cast<std::uint32_t>(body_size));
}

void Message::encode(std::string& out) const
{
    append_frame_header(out, kind_, body_.size());
    out += body_;
}

Result<FrameHeader> parse_frame_header(std::string_view bytes)
{
    if (bytes.size() != frame_header_size || bytes[0] != frame_magic)
        return Error{Fault::malformed, "not a message of ours"};
    if (bytes[1] != frame_version)
        return Error{Fault::malformed,
                     fmt::format("message version {}, expected {}", int{bytes[1]}, int{frame_version})};
    const std::size_t size = read_u32(bytes.substr(4));
    const auto kind = static_cast<std::uint8_t>(bytes[2]);
    if (kind < static_cast<std::uint8_t>(Kind::ok) || kind > last_kind)
        return Error{Fault::malformed, fmt::format("unknown message kind {}", kind)};
    if (size > max_frame_body)
        return Error{Fault::limit, fmt::format("message of {} bytes", size)};
    return FrameHeader{static_cast<Kind>(kind), size};
}

Message failure(std::string_view reason)
{
    Message message(Kind::failed);
    message.add("reason", reason);
    return message;
}

} // namespace bulkhead::ipc
