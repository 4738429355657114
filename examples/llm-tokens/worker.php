<?php

// The worker that talks to the model. `examples/run` starts it beside the server; a site runs several, by a real queue.

/** Stands for a model's streaming API. @return Generator<string> */
function model(string $question): Generator
{
    $answer = "You asked: \"$question\" The worker that took your request was free again after a millisecond. "
        . 'The connection is held by the hub, and this text comes from another process.';
    foreach (explode(' ', $answer) as $number => $word) {
        usleep(60_000);
        yield $number === 0 ? $word : " $word";
    }
}

$questions = new SseSubscription('questions');
echo "The worker takes questions.\n";        // what is asked from here on is answered
foreach ($questions as $event) {
    ['id' => $id, 'question' => $question] = json_decode($event->data, true);
    try {
        foreach (model($question) as $token) {
            sse_publish("answers.$id", json_encode($token, JSON_UNESCAPED_UNICODE), event: 'token');
        }
        sse_finish("answers.$id", '', 'done');
    } catch (Exception $exception) {
        error_log((string) $exception);
        sse_finish("answers.$id", '', 'failed');
    }
}
