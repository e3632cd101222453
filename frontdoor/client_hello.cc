#include "client_hello.h"

#include "base/text.h"

#include <algorithm>

namespace bulkhead
{

namespace
{

constexpr std::size_t record_header = 5;
constexpr std::size_t longest_record = 16 * 1024;
constexpr std::size_t longest_name = 255;
constexpr unsigned handshake_record = 22;
constexpr unsigned client_hello = 1;
constexpr unsigned server_name_extension = 0;
constexpr unsigned host_name = 0;

Error malformed(const char* what)
{
    return Error(Fault::malformed, what);
}

// Takes numbers and counted strings from the front; what is not there makes it fail for good.
class Cursor
{
public:
    explicit Cursor(std::string_view bytes) : rest_(bytes) {}

    bool failed() const { return failed_; }
    bool empty() const { return rest_.empty(); }

    unsigned number(std::size_t size)
    {
        unsigned value = 0;
        for (const char c : take(size))
            value = value << 8 | static_cast<unsigned char>(c);
        return value;
    }

    std::string_view take(std::size_t size)
    {
        failed_ |= size > rest_.size();
        if (failed_)
            return {};
        const std::string_view front = rest_.substr(0, size);
        rest_.remove_prefix(size);
        return front;
    }

    // A string behind its length of so many bytes.
    std::string_view counted(std::size_t length_size) { return take(number(length_size)); }

private:
    std::string_view rest_;
    bool failed_ = false;
};

std::string host_in(std::string_view extension)
{
    Cursor names(Cursor(extension).counted(2));
    while (!names.empty() && !names.failed()) {
        const unsigned type = names.number(1);
        std::string_view name = names.counted(2);
        if (type != host_name || names.failed())
            continue;
        if (name.ends_with('.'))
            name.remove_suffix(1);
        const bool good = name.size() <= longest_name && !name.starts_with('.') &&
                          std::ranges::all_of(name, [](char c) { return c > ' ' && c <= '~' && c != '/'; });
        return good ? lower(name) : std::string();
    }
    return {};
}

Result<std::string> host_of_hello(std::string_view hello)
{
    Cursor body(hello);
    (void)body.take(2 + 32); // version, random
    (void)body.counted(1);   // session
    (void)body.counted(2);   // ciphers
    (void)body.counted(1);   // compression
    if (body.failed())
        return malformed("cut client hello");
    if (body.empty())
        return std::string(); // before extensions were invented
    Cursor extensions(body.counted(2));
    if (body.failed())
        return malformed("cut extensions");
    while (!extensions.empty()) {
        const unsigned type = extensions.number(2);
        const std::string_view content = extensions.counted(2);
        if (extensions.failed())
            return malformed("cut extension");
        if (type == server_name_extension)
            return host_in(content);
    }
    return std::string();
}

} // namespace

Result<std::optional<std::string>> server_name_in(std::string_view bytes)
{
    std::string message; // of one or more records
    while (bytes.size() >= record_header) {
        Cursor header(bytes);
        const unsigned type = header.number(1);
        const unsigned major = header.number(1);
        (void)header.number(1);
        const std::size_t size = header.number(2);
        if (type != handshake_record || major != 3 || size == 0 || size > longest_record)
            return malformed("no TLS handshake");
        message += bytes.substr(record_header, size);
        const bool whole_record = bytes.size() >= record_header + size;
        if (!message.empty() && static_cast<unsigned char>(message[0]) != client_hello)
            return malformed("no client hello");
        if (message.size() >= 4) {
            Cursor hello(message);
            (void)hello.number(1);
            const std::size_t length = hello.number(3);
            if (length > client_hello_limit)
                return malformed("client hello is too long");
            const std::string_view body = hello.take(length);
            if (!hello.failed()) {
                TRY(std::string host, host_of_hello(body));
                return std::optional(std::move(host));
            }
        }
        if (!whole_record)
            break;
        bytes.remove_prefix(record_header + size);
    }
    if (!bytes.empty() && static_cast<unsigned char>(bytes[0]) != handshake_record)
        return malformed("no TLS handshake");
    return std::optional<std::string>();
}

} // namespace bulkhead
