<?php

// What the library uses of OpenTelemetry's API, for the analyser only: Debian has no package of it.

declare(strict_types=1);

namespace OpenTelemetry\API\Trace;

interface SpanContextInterface
{
    public function isValid(): bool;

    public function getTraceId(): string;

    public function getSpanId(): string;

    public function getTraceFlags(): int;
}

abstract class Span
{
    public static function getCurrent(): self
    {
    }

    abstract public function getContext(): SpanContextInterface;
}
