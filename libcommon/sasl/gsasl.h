// What client and server logins share of libgsasl: the context of the process and a
// session of it.  Internal to this folder.
#pragma once

#include "base/result.h"

#include <gsasl.h>

#include <memory>
#include <string>
#include <string_view>

namespace bulkhead::sasl
{

// The one context of the process; its callback goes to the session's GsaslSession.
// Threads may use it at once, as long as each session stays with one.
Gsasl* gsasl_context();

class GsaslSession
{
public:
    enum class Side { client, server };

    // Fault::broken when libgsasl does not know the mechanism.
    Result<> open(Side side, const std::string& mechanism);
    virtual ~GsaslSession() = default;

    // One step: 0 (GSASL_OK) when the exchange is complete, GSASL_NEEDS_MORE, or the error.
    int step(std::string_view input, std::string& output);

    void set(Gsasl_property property, const std::string& value);
    std::string get(Gsasl_property property) const; // as set or learnt; empty: not there

    // libgsasl asks: set() what is known and return GSASL_OK, else GSASL_NO_CALLBACK.
    virtual int provide(Gsasl_property) { return GSASL_NO_CALLBACK; }

private:
    struct Finish {
        void operator()(Gsasl_session* session) const { ::gsasl_finish(session); }
    };
    std::unique_ptr<Gsasl_session, Finish> session_;
};

} // namespace bulkhead::sasl
