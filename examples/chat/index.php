<?php // The newest id, before anything is read: the stream goes on from there.
$cursor = sse_cursor();
?>
<!doctype html>
<meta charset="utf-8">
<title>Chat</title>
<style>body { font: 1rem system-ui; max-width: 40rem; margin: 2rem auto } #messages { min-height: 10rem }</style>
<h1>Chat</h1>
<ul id="messages"></ul>
<form id="form">
  <input name="from" placeholder="Name" required maxlength="40">
  <input name="text" placeholder="Message" required maxlength="500" autofocus>
  <button>Send</button>
</form>
<script>
  const stream = new EventSource('stream.php?lastEventId=' + encodeURIComponent(<?= json_encode($cursor, JSON_HEX_TAG) ?>));
  stream.onmessage = event => {
    const { from, text } = JSON.parse(event.data);
    const item = document.createElement('li');
    item.textContent = `${from}: ${text}`;          // never innerHTML: others have written it
    document.getElementById('messages').append(item);
  };

  const form = document.getElementById('form');
  form.onsubmit = async event => {
    event.preventDefault();
    await fetch('send.php', { method: 'POST', body: new FormData(form) });
    form.elements.text.value = '';
  };
</script>
