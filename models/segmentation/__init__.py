"""The liver's outline in ultrasound and MRI: proposed, refined by the reader, learnt from what was saved."""
