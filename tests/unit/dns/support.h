// A name server in a thread, on a free port of the loopback: enough of the DNS to
// answer one question per packet from a table.
#pragma once

#include "base/unique_fd.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <cctype>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

namespace bulkhead::test
{

inline std::string wire_name(std::string_view name)
{
    std::string wire;
    while (!name.empty()) {
        const auto label = name.substr(0, name.find('.'));
        wire += static_cast<char>(label.size());
        wire += label;
        name.remove_prefix(std::min(label.size() + 1, name.size()));
    }
    return wire + '\0';
}

inline std::string number16(unsigned n)
{
    return {static_cast<char>(n >> 8), static_cast<char>(n & 0xff)};
}

inline std::string wire_record(const std::string& owner, unsigned type, const std::string& data)
{
    return owner + number16(type) + number16(1) + number16(0) + number16(1) +
           number16(static_cast<unsigned>(data.size())) + data;
}

inline std::string mx_data(unsigned preference, std::string_view host)
{
    return number16(preference) + wire_name(host);
}

inline std::string wire_answer(std::string_view name, unsigned type, const std::vector<std::string>& records)
{
    return std::string("\0\1\x81\x80", 4) + number16(1) + number16(static_cast<unsigned>(records.size())) +
           number16(0) + number16(0) + wire_name(name) + number16(type) + number16(1) + [&] {
               std::string all;
               for (const auto& record : records)
                   all += record;
               return all;
           }();
}

class NameServer
{
public:
    static constexpr unsigned a = 1, cname = 5, mx = 15, aaaa = 28;

    NameServer() : fd_(::socket(AF_INET, SOCK_DGRAM, 0))
    {
        sockaddr_in address{};
        address.sin_family = AF_INET;
        address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        ::bind(fd_.get(), reinterpret_cast<sockaddr*>(&address), sizeof address);
        socklen_t size = sizeof address;
        ::getsockname(fd_.get(), reinterpret_cast<sockaddr*>(&address), &size);
        port_ = ntohs(address.sin_port);
    }
    ~NameServer()
    {
        ::shutdown(fd_.get(), SHUT_RDWR);
        const int waker = ::socket(AF_INET, SOCK_DGRAM, 0);
        sockaddr_in address{};
        address.sin_family = AF_INET;
        address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        address.sin_port = htons(port_);
        ::sendto(waker, "", 0, 0, reinterpret_cast<sockaddr*>(&address), sizeof address);
        ::close(waker);
        if (thread_.joinable())
            thread_.join();
    }

    std::uint16_t port() const { return port_; }

    // Before start(): record data; a name with no record of the type has "no data".
    void add(const std::string& name, unsigned type, std::string data)
    {
        zone_[name][type].push_back(std::move(data));
    }
    void fail(const std::string& name) { failing_.push_back(name); } // SERVFAIL
    void drop(const std::string& name) { silent_.push_back(name); }

    void start()
    {
        thread_ = std::thread([this] { serve(); });
    }

private:
    void serve()
    {
        char buffer[1024];
        for (;;) {
            sockaddr_in peer{};
            socklen_t peer_size = sizeof peer;
            const auto n = ::recvfrom(fd_.get(), buffer, sizeof buffer, 0, reinterpret_cast<sockaddr*>(&peer),
                                      &peer_size);
            if (n < 17)
                return;
            const std::string reply = answer({buffer, static_cast<std::size_t>(n)});
            if (!reply.empty())
                ::sendto(fd_.get(), reply.data(), reply.size(), 0, reinterpret_cast<sockaddr*>(&peer),
                         peer_size);
        }
    }

    std::string answer(std::string_view query) const
    {
        std::size_t at = 12;
        std::string name;
        while (query[at] != '\0') {
            const auto size = static_cast<std::size_t>(query[at]);
            name += (name.empty() ? "" : ".") + std::string(query.substr(at + 1, size));
            at += size + 1;
        }
        std::ranges::transform(name, name.begin(),
                               [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
        const unsigned type =
            static_cast<unsigned char>(query[at + 1]) << 8 | static_cast<unsigned char>(query[at + 2]);
        const std::string question(query.substr(12, at + 5 - 12));
        if (std::ranges::find(silent_, name) != silent_.end())
            return {};
        unsigned code = std::ranges::find(failing_, name) != failing_.end() ? 2 : 0;
        std::vector<std::string> records;
        std::string owner = name;
        for (int i = 0; i < 4 && code == 0; ++i) {
            const auto node = zone_.find(owner);
            if (node == zone_.end()) {
                code = 3;
                break;
            }
            const auto exact = node->second.find(type);
            if (exact != node->second.end()) {
                for (const auto& data : exact->second)
                    records.push_back(wire_record(wire_name(owner), type, data));
                break;
            }
            const auto alias = node->second.find(cname);
            if (alias == node->second.end())
                break;
            records.push_back(wire_record(wire_name(owner), cname, wire_name(alias->second.front())));
            owner = alias->second.front();
        }
        const std::string soa = wire_name("ns.test") + wire_name("admin.test") + std::string(20, '\0');
        const bool negative = records.empty() && code != 2;
        std::string reply = std::string(query.substr(0, 2)) + number16(0x8180 | code) + number16(1) +
                            number16(static_cast<unsigned>(records.size())) + number16(negative) +
                            number16(0) + question;
        for (const auto& record : records)
            reply += record;
        if (negative)
            reply += wire_record(wire_name("test"), 6, soa);
        return reply;
    }

    UniqueFd fd_;
    std::uint16_t port_ = 0;
    std::map<std::string, std::map<unsigned, std::vector<std::string>>> zone_;
    std::vector<std::string> failing_;
    std::vector<std::string> silent_;
    std::thread thread_;
};

} // namespace bulkhead::test
