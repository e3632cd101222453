#include "dns/packet.h"

#include "base/text.h"

#include <algorithm>
#include <optional>
#include <span>
#include <utility>

namespace bulkhead::dns
{

namespace
{

constexpr std::size_t name_limit = 255; // RFC 1035, 2.3.4
constexpr int pointer_limit = 64;       // jumps inside one compressed name
constexpr unsigned class_internet = 1;

Error cut()
{
    return {Fault::malformed, "DNS answer is cut short"};
}

// Reads a packet from front to back; names may point backwards.
class Reader
{
public:
    explicit Reader(std::string_view packet) : packet_(packet) {}

    std::size_t position() const { return at_; }
    void go_to(std::size_t position) { at_ = position; }

    Result<unsigned> byte()
    {
        if (at_ >= packet_.size())
            return cut();
        return static_cast<unsigned char>(packet_[at_++]);
    }

    Result<unsigned> number16()
    {
        TRY(const unsigned high, byte());
        TRY(const unsigned low, byte());
        return high << 8 | low;
    }

    Result<std::string_view> bytes(std::size_t size)
    {
        if (size > packet_.size() - at_)
            return cut();
        at_ += size;
        return packet_.substr(at_ - size, size);
    }

    // Labels with dots between them; a dot or a NUL inside a label makes the name
    // one that is_host_name() refuses.
    Result<std::string> name()
    {
        std::string name;
        std::optional<std::size_t> behind;
        for (int jumps = 0;;) {
            TRY(const unsigned size, byte());
            if (size == 0)
                break;
            if ((size & 0xc0) == 0xc0) {
                TRY(const unsigned low, byte());
                if (!behind)
                    behind = at_;
                at_ = (size & 0x3f) << 8 | low;
                if (++jumps > pointer_limit)
                    return Error{Fault::malformed, "DNS name points in circles"};
                continue;
            }
            if (size > 63)
                return Error{Fault::malformed, "bad label in DNS name"};
            TRY(const std::string_view label, bytes(size));
            if (!name.empty())
                name += '.';
            name += label.find('.') == std::string_view::npos ? label : "?";
            if (name.size() > name_limit)
                return Error{Fault::malformed, "DNS name is too long"};
        }
        if (behind)
            at_ = *behind;
        return name;
    }

private:
    std::string_view packet_;
    std::size_t at_ = 0;
};

// use(reader, data, owner): the reader stands at the first of the data's bytes.
template <typename Use> Result<> each_record(std::string_view packet, Type wanted, Use use)
{
    Reader reader(packet);
    TRY_VOID(reader.bytes(4)); // id, flags
    TRY(const unsigned questions, reader.number16());
    TRY(const unsigned answers, reader.number16());
    TRY_VOID(reader.bytes(4)); // counts of the other sections
    for (unsigned i = 0; i < questions; ++i) {
        TRY_VOID(reader.name());
        TRY_VOID(reader.bytes(4));
    }
    std::size_t kept = 0;
    for (unsigned i = 0; i < answers && kept < record_limit; ++i) {
        TRY(const std::string owner, reader.name());
        TRY(const unsigned type, reader.number16());
        TRY(const unsigned net_class, reader.number16());
        TRY_VOID(reader.bytes(4)); // time to live: the resolver's business
        TRY(const unsigned size, reader.number16());
        const std::size_t start = reader.position();
        TRY(const std::string_view data, reader.bytes(size));
        if (type != static_cast<unsigned>(wanted) || net_class != class_internet)
            continue;
        ++kept;
        reader.go_to(start);
        TRY_VOID(use(reader, data, owner));
        reader.go_to(start + size);
    }
    return {};
}

bool is_host_name(std::string_view name)
{
    return std::ranges::all_of(
        name, [](char c) { return is_alpha(c) || is_digit(c) || c == '-' || c == '_' || c == '.'; });
}

} // namespace

std::string_view type_name(Type type)
{
    switch (type) {
    case Type::a:
        return "A";
    case Type::ns:
        return "NS";
    case Type::ptr:
        return "PTR";
    case Type::mx:
        return "MX";
    case Type::txt:
        return "TXT";
    case Type::aaaa:
        return "AAAA";
    case Type::srv:
        return "SRV";
    case Type::tlsa:
        return "TLSA";
    }
    std::unreachable();
}

int response_code(std::string_view packet)
{
    constexpr std::size_t header_size = 12;
    return packet.size() < header_size ? 2 : packet[3] & 0x0f;
}

namespace
{

// The time of the record at which the reader stands, which goes on to the next one; of an SOA
// record no longer than its last field.
Result<std::uint32_t> read_time(Reader& reader)
{
    constexpr unsigned type_soa = 6;
    const auto number32 = [&reader]() -> Result<std::uint32_t> {
        TRY(const unsigned high, reader.number16());
        TRY(const unsigned low, reader.number16());
        return high << 16 | low;
    };
    TRY_VOID(reader.name());
    TRY(const unsigned type, reader.number16());
    TRY_VOID(reader.bytes(2));
    TRY(std::uint32_t time, number32());
    TRY(const unsigned size, reader.number16());
    const std::size_t end = reader.position() + size;
    TRY_VOID(reader.bytes(size));
    if (type == type_soa && size >= 4) {
        reader.go_to(end - 4);
        TRY(const std::uint32_t absent, number32());
        time = std::min(time, absent);
    }
    return time;
}

} // namespace

std::uint32_t time_to_live(std::string_view packet)
{
    Reader reader(packet);
    const auto shortest = [&]() -> Result<std::uint32_t> {
        TRY_VOID(reader.bytes(4)); // id, flags
        TRY(const unsigned questions, reader.number16());
        TRY(const unsigned answers, reader.number16());
        TRY(const unsigned authorities, reader.number16());
        TRY_VOID(reader.bytes(2));
        for (unsigned i = 0; i < questions; ++i) {
            TRY_VOID(reader.name());
            TRY_VOID(reader.bytes(4));
        }
        std::optional<std::uint32_t> least;
        const unsigned records = answers > 0 ? answers : authorities;
        for (unsigned i = 0; i < records && i < record_limit; ++i) {
            TRY(const std::uint32_t time, read_time(reader));
            least = std::min(least.value_or(time), time);
        }
        return least.value_or(0);
    };
    return shortest().value_or(0);
}

Result<std::vector<MxRecord>> parse_mx(std::string_view packet)
{
    std::vector<MxRecord> records;
    const auto add = [&](Reader& reader, std::string_view, const std::string&) -> Result<> {
        TRY(const unsigned preference, reader.number16());
        TRY(std::string host, reader.name());
        if (is_host_name(host))
            records.emplace_back(static_cast<std::uint16_t>(preference), std::move(host));
        return {};
    };
    TRY_VOID(each_record(packet, Type::mx, add));
    return records;
}

Result<std::vector<SrvRecord>> parse_srv(std::string_view packet)
{
    std::vector<SrvRecord> records;
    const auto add = [&](Reader& reader, std::string_view, const std::string&) -> Result<> {
        TRY(const unsigned priority, reader.number16());
        TRY(const unsigned weight, reader.number16());
        TRY(const unsigned port, reader.number16());
        TRY(std::string host, reader.name());
        if (is_host_name(host))
            records.emplace_back(static_cast<std::uint16_t>(priority), static_cast<std::uint16_t>(weight),
                                 static_cast<std::uint16_t>(port), std::move(host));
        return {};
    };
    TRY_VOID(each_record(packet, Type::srv, add));
    return records;
}

std::string owner_of(std::string_view packet, Type type)
{
    std::string first;
    const auto note = [&](Reader&, std::string_view, const std::string& owner) -> Result<> {
        if (first.empty() && is_host_name(owner))
            first = owner;
        return {};
    };
    const auto read = each_record(packet, type, note);
    return read ? first : std::string();
}

Result<std::vector<SocketAddress>> parse_addresses(std::string_view packet, Type type)
{
    std::vector<SocketAddress> records;
    const std::size_t wanted_size = type == Type::a ? 4 : 16;
    const auto add = [&](Reader&, std::string_view data, const std::string&) -> Result<> {
        if (data.size() != wanted_size)
            return Error{Fault::malformed, "address record of a wrong size"};
        const auto* const first = reinterpret_cast<const std::uint8_t*>(data.data());
        records.push_back(*SocketAddress::from_bytes({first, data.size()}));
        return {};
    };
    TRY_VOID(each_record(packet, type, add));
    return records;
}

Result<std::vector<HostRecord>> parse_hosts(std::string_view packet, Type type)
{
    std::vector<HostRecord> records;
    const auto add = [&](Reader& reader, std::string_view, const std::string&) -> Result<> {
        TRY(std::string name, reader.name());
        if (!name.empty() && is_host_name(name))
            records.emplace_back(std::move(name));
        return {};
    };
    TRY_VOID(each_record(packet, type, add));
    return records;
}

Result<std::vector<TextRecord>> parse_txt(std::string_view packet)
{
    std::vector<TextRecord> records;
    const auto add = [&](Reader&, std::string_view data, const std::string&) -> Result<> {
        std::string text;
        while (!data.empty()) {
            const std::size_t size = static_cast<unsigned char>(data.front());
            data.remove_prefix(1);
            if (size > data.size())
                return cut();
            text += data.substr(0, size);
            data.remove_prefix(size);
        }
        records.emplace_back(std::move(text));
        return {};
    };
    TRY_VOID(each_record(packet, Type::txt, add));
    return records;
}

Result<std::vector<TlsaRecord>> parse_tlsa(std::string_view packet)
{
    std::vector<TlsaRecord> records;
    const auto add = [&](Reader&, std::string_view data, const std::string&) -> Result<> {
        if (data.size() < 3)
            return Error{Fault::malformed, "TLSA record of a wrong size"};
        const auto* const bytes = reinterpret_cast<const std::uint8_t*>(data.data());
        records.emplace_back(bytes[0], bytes[1], bytes[2], std::string(data.substr(3)));
        return {};
    };
    TRY_VOID(each_record(packet, Type::tlsa, add));
    return records;
}

} // namespace bulkhead::dns
