<?php

declare(strict_types=1);

namespace Sse;

use OpenTelemetry\API\Trace\Span;

/**
 * The trace that this process works for, where OpenTelemetry's API is loaded (open-telemetry/api); the library does not need it.
 *
 * ```php
 * sse_publish('orders', $order, traceparent: Trace::current());
 * ```
 */
final class Trace
{
    /** The current span as W3C's `traceparent`. Null: there is none, or no OpenTelemetry. */
    public static function current(): ?string
    {
        // Without autoloading: a span that is current has loaded its class, so what is not loaded has none.
        if (!class_exists(Span::class, false)) {
            return null;
        }
        $context = Span::getCurrent()->getContext();

        return $context->isValid()
            ? sprintf('00-%s-%s-%02x', $context->getTraceId(), $context->getSpanId(), $context->getTraceFlags())
            : null;
    }
}
