#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <exception>
#include <optional>
#include <utility>

namespace nomiqon::test {

template <class T>
boost::asio::awaitable<void> keep(boost::asio::awaitable<T> work, std::optional<T>& result) {
    result.emplace(co_await std::move(work));
}

/// Runs a coroutine to its end, on this thread.
template <class T>
T run(boost::asio::awaitable<T> work) {
    boost::asio::io_context context;
    std::optional<T> result;
    boost::asio::co_spawn(context, keep(std::move(work), result), [](const std::exception_ptr& error) {
        if (error) std::rethrow_exception(error);
    });
    context.run();
    return std::move(*result);
}

}  // namespace nomiqon::test
