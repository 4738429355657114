<?php

declare(strict_types=1);

use Demo\Crowd;
use Demo\Hub;
use Demo\Page;
use Demo\Request;
use Demo\Workers;

require __DIR__ . '/../src/start.php';

$room = Request::room();
Page::begin('chat', 'Alice and Bob – php-sse', '.');
?>
<div class="mb-5 max-w-4xl">
  <h1 class="text-2xl font-bold tracking-tight sm:text-3xl">Live events from plain PHP</h1>
  <p class="mt-1 text-base-content/80">
    Alice and Bob are two clients, each with a stream that stays open. PHP answers every request within milliseconds and is free
    again: a small process beside it, <strong>the hub</strong>, holds the streams. Press play, then try to lose a message.
  </p>
</div>

<section class="card-plain load" aria-labelledby="load">
  <h2 class="sr-only" id="load">What the streams cost PHP</h2>
  <p>Open streams <strong id="streams">–</strong></p>
  <p>PHP workers busy <strong id="busy">–</strong></p>
  <p>An ordinary request takes <strong id="took">–</strong></p>
  <?php if (Crowd::mayOpen()): ?>
  <button type="button" id="crowd" class="btn btn-sm border-base-300 bg-base-100" aria-pressed="false">Open <?= Crowd::STREAMS ?> more streams</button>
  <?php endif ?>
  <details class="ml-auto text-sm text-base-content/80">
    <summary class="cursor-pointer">How the page knows</summary>
    <p class="mt-1 max-w-prose">Once a second it asks <code>workers.php</code>, an ordinary page: streams are those of <code>sse_stats()</code>,
      workers those of PHP’s server, without the one that answers.
      <?php if (Workers::now()['workers'] === 1): ?>
      Here there is one, which answers this question itself: that it does shows that no stream holds it.
      <?php endif ?>
      While nothing answers for a second, all are shown as busy.</p>
  </details>
</section>

<div class="stage">
  <section class="card-plain flex flex-wrap items-center gap-2 p-3 [grid-area:controls]" aria-label="Controls">
    <button type="button" id="play" class="btn btn-primary btn-sm" aria-pressed="false">Play a conversation</button>
    <span class="mx-1 hidden h-6 w-px bg-base-300 sm:block" aria-hidden="true"></span>
    <span class="text-sm text-base-content/70" id="break">Break it:</span>
    <div class="flex flex-wrap gap-2" role="group" aria-labelledby="break">
      <button type="button" id="wifi-alice" class="btn btn-sm" aria-pressed="false">Drop Alice’s Wi-Fi</button>
      <button type="button" id="wifi-bob" class="btn btn-sm" aria-pressed="false">Drop Bob’s Wi-Fi</button>
      <button type="button" id="stall" class="btn btn-sm" aria-pressed="false">Stall Bob</button>
      <?php if (Hub::mayBeKilled()): ?>
      <button type="button" id="kill" class="btn btn-sm btn-error btn-outline">Kill the hub</button>
      <?php endif ?>
    </div>
    <p id="verdict" class="verdict ml-auto text-sm"></p>
    <p id="news" class="sr-only" role="status"></p>
  </section>

  <div class="card-plain overflow-hidden [grid-area:alice]">
    <iframe class="pane" id="alice" title="Alice’s browser" src="room.php?room=<?= Page::text($room) ?>&amp;as=Alice"></iframe>
  </div>
  <div class="card-plain overflow-hidden [grid-area:bob]">
    <iframe class="pane" id="bob" title="Bob’s browser" src="room.php?room=<?= Page::text($room) ?>&amp;as=Bob"></iframe>
  </div>

  <section class="card-plain flex flex-col [grid-area:timeline]" aria-labelledby="timeline-title">
    <div class="flex items-baseline justify-between gap-2 px-4 pt-3">
      <h2 class="font-semibold" id="timeline-title">Event timeline</h2>
      <p class="text-sm text-base-content/70" id="median"></p>
    </div>
    <p class="px-4 text-sm text-base-content/70" id="about">Send a message to see its way.</p>
    <ol id="steps" class="steps-list px-4 pt-2" aria-label="The way of one message"></ol>
    <details class="px-4 pb-2 pt-1 text-sm text-base-content/80">
      <summary class="cursor-pointer">What is measured</summary>
      <ul class="mt-1 list-disc space-y-1 pl-5">
        <li>Both browsers’ times are of one clock, the page’s. The whole way, from the button to Bob, is exact.</li>
        <li>The times within PHP are of PHP’s clock, and exact among each other.</li>
        <li>Where the two meet, PHP’s clock is set by the page’s: a request can’t begin before it was sent, nor an event arrive
          before it was published. <span id="doubt"></span></li>
        <li>The hub’s time is what <code>sse_publish()</code> took: to the hub, into its history on disk, and back. Bob’s event leaves meanwhile.</li>
      </ul>
    </details>
    <h3 class="border-t border-base-300 px-4 pb-1 pt-3 text-sm font-semibold">What happened</h3>
    <ol id="feed" class="feed" tabindex="0" aria-label="What happened, the newest first"></ol>
  </section>
</div>

<div class="mt-4 grid gap-4 lg:grid-cols-[2fr_1fr]">
  <section class="card-plain p-4" aria-labelledby="how">
    <h2 class="font-semibold" id="how">How it works</h2>
    <ol class="mt-2 grid gap-x-6 gap-y-3 text-sm text-base-content/80 sm:grid-cols-3">
      <li><strong class="text-base-content">PHP decides.</strong> A script checks who you are and calls
        <code>sse_stream('chat.general')</code>. It is done after a millisecond.</li>
      <li><strong class="text-base-content">The hub holds.</strong> The extension has passed the open connection on to it. It keeps thousands of
        them, with what they missed.</li>
      <li><strong class="text-base-content">PHP publishes.</strong> Any script, at any time: <code>sse_publish('chat.general', $message)</code>.
        Everybody who watches has it.</li>
    </ol>
  </section>
  <section class="card-plain p-4" aria-labelledby="rooms">
    <h2 class="font-semibold" id="rooms">Talk to real people</h2>
    <p class="mt-1 text-sm text-base-content/80">A room is a link: everybody who opens it is in, and chooses a name at the door.</p>
    <div class="mt-3 flex flex-wrap gap-2">
      <a class="btn btn-sm" id="new-room" href="room.php?room=lobby">Open a new room</a>
      <a class="btn btn-sm" href="room.php?room=<?= Page::text($room) ?>">Join Alice and Bob</a>
    </div>
  </section>
</div>
<?php
Page::end();
