// Keys of session tickets (RFC 5077; RFC 8446, 4.6.1): new ones in time, the old ones good
// for one more period.  All processes of an environment take them from one file in its
// private folder, so that a client may come back to any of them; what a service makes of a
// key is its own, so that a ticket of one service opens nothing at another.
#pragma once

#include "base/clock.h"

#include <array>
#include <cstdint>
#include <string>
#include <vector>

namespace bulkhead::tls
{

struct TicketKey {
    std::array<unsigned char, 16> name{};
    std::array<unsigned char, 32> cipher{};
    std::array<unsigned char, 32> mac{};
    std::int64_t born = 0; // Unix time
};

class TicketKeys
{
public:
    // path: empty keeps the keys in this process.  Seals with a key for `period`.
    TicketKeys(std::string path, std::string service, Seconds period);
    ~TicketKeys();
    TicketKeys(const TicketKeys&) = delete;

    // The key to seal with now; null only when the system gives no random bytes.
    const TicketKey* current(std::int64_t now);

    // The key of this name, if its tickets are still good.
    const TicketKey* find(const unsigned char* name, std::int64_t now);

private:
    static constexpr std::size_t secret_size = 32;
    static constexpr std::size_t key_limit = 3;
    struct Secret {
        std::int64_t born = 0;
        std::array<unsigned char, secret_size> bytes{};
    };

    void refresh(std::int64_t now, bool may_add);
    bool exchange(std::vector<Secret>& secrets, std::int64_t now, bool may_add);
    bool renew(std::vector<Secret>& secrets, std::int64_t now) const;
    TicketKey derive(const Secret& secret) const;
    bool is_fresh(std::int64_t born, std::int64_t now) const;
    bool is_good(std::int64_t born, std::int64_t now) const;

    std::string path_;
    std::string service_;
    std::int64_t period_;
    std::vector<TicketKey> keys_; // newest first
    std::vector<Secret> own_;     // when there is no file
    std::int64_t looked_at_ = -1; // when the file was last read for an unknown name
    bool file_is_bad_ = false;
};

} // namespace bulkhead::tls
